"""The built-in serializers and layers, registered the way any plugin's are."""

from __future__ import annotations

import sys

from miniagent_store.hookspecs import hookimpl
from miniagent_store.provider import Provider
from miniagent_store.serializer import Layer, LegacyReader, Serializer

# Python 3.14 has it as compression.zstd.
_ZSTD_PACKAGE = "backports.zstd" if sys.version_info < (3, 14) else None


@hookimpl
def provide_serializers() -> list[Provider[Serializer]]:
    return [
        Provider("json", _json, wire_id=0x01, summary="JSON, standard library"),
        Provider("orjson", _orjson, wire_id=0x01, summary="JSON, fast"),
        Provider("msgpack", _msgpack, wire_id=0x02, summary="MessagePack, compact"),
        Provider("pickle", _pickle, wire_id=0x0F, summary="objects of listed classes", safe=False),
    ]


@hookimpl
def provide_layers() -> list[Provider[Layer]]:
    return [
        Provider("zlib", _zlib, wire_id=0x10, summary="compression, standard library"),
        Provider(
            "zstd", _zstd, wire_id=0x11, summary="compression, fast", package=_ZSTD_PACKAGE, extra="zstd"
        ),
        Provider("crc32", _crc32, wire_id=0x1F, summary="notices damaged bytes"),
        Provider("hmac", _hmac, wire_id=0x20, summary="notices changed bytes; needs keys"),
        *(
            Provider(name, load, wire_id=wire_id, summary=summary, package="cryptography", extra="crypto")
            for name, load, wire_id, summary in (
                ("aesgcm", _aesgcm, 0x21, "encrypts by AES-256-GCM; needs keys"),
                ("gcmsiv", _gcmsiv, 0x22, "encrypts by AES-256-GCM-SIV; needs keys"),
                ("chacha", _chacha, 0x23, "encrypts by ChaCha20-Poly1305; needs keys"),
            )
        ),
    ]


@hookimpl
def provide_legacy_readers() -> list[Provider[LegacyReader]]:
    return [
        Provider("json", _legacy_json, summary="MiniAgent's plain JSON"),
        Provider("pickle-thread", _legacy_pickle_thread, summary="MiniAgent's pickled threads", safe=False),
    ]


def _json() -> Serializer:
    from miniagent_serializers.json_serializer import JsonSerializer

    return JsonSerializer()


def _orjson() -> Serializer:
    from miniagent_serializers.orjson_serializer import OrjsonSerializer

    return OrjsonSerializer()


def _msgpack() -> Serializer:
    from miniagent_serializers.msgpack_serializer import MsgpackSerializer

    return MsgpackSerializer()


def _pickle() -> Serializer:
    from miniagent_serializers.pickle_serializer import PickleSerializer

    return PickleSerializer()


def _zlib() -> Layer:
    from miniagent_serializers.zlib_layer import ZlibLayer

    return ZlibLayer()


def _zstd() -> Layer:
    from miniagent_serializers.zstd_layer import ZstdLayer

    return ZstdLayer()


def _crc32() -> Layer:
    from miniagent_serializers.crc32_layer import Crc32Layer

    return Crc32Layer()


def _hmac() -> Layer:
    from miniagent_serializers.hmac_layer import HmacLayer

    return HmacLayer()


def _aesgcm() -> Layer:
    from miniagent_serializers.aead_layers import AesGcmLayer

    return AesGcmLayer()


def _gcmsiv() -> Layer:
    from miniagent_serializers.aead_layers import AesGcmSivLayer

    return AesGcmSivLayer()


def _chacha() -> Layer:
    from miniagent_serializers.aead_layers import ChaChaLayer

    return ChaChaLayer()


def _legacy_json() -> LegacyReader:
    from miniagent_serializers.legacy_json import LegacyJson

    return LegacyJson()


def _legacy_pickle_thread() -> LegacyReader:
    from miniagent_serializers.legacy_pickle_thread import LegacyPickleThread

    return LegacyPickleThread()
