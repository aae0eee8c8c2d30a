"""The built-in serializers and layers, registered the way any plugin's are."""

from __future__ import annotations

from miniagent_store.hookspecs import hookimpl
from miniagent_store.provider import Provider
from miniagent_store.serializer import Layer, Serializer


@hookimpl
def provide_serializers() -> list[Provider[Serializer]]:
    return [
        Provider("json", _json, wire_id=0x01, summary="JSON, standard library"),
        Provider("orjson", _orjson, wire_id=0x01, summary="JSON, fast"),
        Provider("msgpack", _msgpack, wire_id=0x02, summary="MessagePack, compact"),
    ]


@hookimpl
def provide_layers() -> list[Provider[Layer]]:
    return [Provider("crc32", _crc32, wire_id=0x1F, summary="notices damaged bytes")]


def _json() -> Serializer:
    from miniagent_serializers.json_serializer import JsonSerializer

    return JsonSerializer()


def _orjson() -> Serializer:
    from miniagent_serializers.orjson_serializer import OrjsonSerializer

    return OrjsonSerializer()


def _msgpack() -> Serializer:
    from miniagent_serializers.msgpack_serializer import MsgpackSerializer

    return MsgpackSerializer()


def _crc32() -> Layer:
    from miniagent_serializers.crc32_layer import Crc32Layer

    return Crc32Layer()
