"""Compression by zlib, which every Python has."""

from __future__ import annotations

import zlib

from miniagent_serializers.bounded import decompress_bounded
from miniagent_store.serializer import Context, LayerKind, Limits


class ZlibLayer:
    """Body: a zlib stream (RFC 1950) at the default level, nothing after it."""

    name = "zlib"
    wire_id: int | None = 0x10
    kind: LayerKind = "compress"
    params_size = 0
    authenticated = False

    def encode(self, data: bytes, context: Context, header: bytes) -> tuple[bytes, bytes]:
        return b"", zlib.compress(data)

    def decode(self, params: bytes, body: bytes, context: Context, header: bytes, limits: Limits) -> bytes:
        return decompress_bounded(zlib.decompressobj(), body, self.name, limits)
