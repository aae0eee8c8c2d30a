"""Claims the scheme of miniagent-folder, its serializer's name, and the wire id of MessagePack."""

from miniagent_store import Provider, hookimpl


def _never():
    raise AssertionError("a clash must be told before anything is loaded")


@hookimpl
def provide_backends():
    return [Provider("folder", _never)]


@hookimpl
def provide_serializers():
    return [Provider("zjson", _never), Provider("msgpack-again", _never, wire_id=0x02)]
