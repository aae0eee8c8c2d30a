"""Registers the scheme ``folder`` and the serializer ``zjson``."""

from miniagent_store import Provider, hookimpl


@hookimpl
def provide_backends():
    return [Provider("folder", _folder, summary="a folder of files, shared by processes; durable")]


@hookimpl
def provide_serializers():
    return [Provider("zjson", _zjson, summary="JSON, compressed by zlib")]


def _folder():
    from miniagent_folder.backend import open_folder

    return open_folder


def _zjson():
    from miniagent_folder.zjson import SERIALIZER

    return SERIALIZER
