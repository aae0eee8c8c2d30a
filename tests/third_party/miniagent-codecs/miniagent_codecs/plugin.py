"""Registers the serializer ``literal``, the layer ``lzma``, and the reader ``csv`` for ``legacy=``."""

from miniagent_store import Provider, hookimpl


@hookimpl
def provide_serializers():
    return [Provider("literal", _literal, summary="Python literals")]


@hookimpl
def provide_layers():
    return [Provider("lzma", _lzma, wire_id=0xA0, summary="compression by LZMA")]


@hookimpl
def provide_legacy_readers():
    return [Provider("csv", _csv, summary="one line of texts")]


def _literal():
    from miniagent_codecs.literal import Literal

    return Literal()


def _lzma():
    from miniagent_codecs.lzma_layer import LzmaLayer

    return LzmaLayer()


def _csv():
    from miniagent_codecs.old_csv import OldCsv

    return OldCsv()
