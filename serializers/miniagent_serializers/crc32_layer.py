"""A checksum that notices damage: flipped bits, cut ends. No protection against someone who changes
bytes on purpose; that is what authentication is for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from zlib import crc32

from miniagent_store.errors import DecodeError
from miniagent_store.serializer import Context, LayerKind, Limits

_SIZE = 4


class Crc32Layer:
    """Body: data, then CRC-32 (big-endian) over header and data."""

    name = "crc32"
    wire_id: int | None = 0x1F
    kind: LayerKind = "integrity"
    params_size = 0
    authenticated = False

    def encode(self, data: bytes, context: Context, header: bytes) -> tuple[bytes, bytes]:
        return b"", data + _checksum(header, data)

    def sealer(self, context: Context, header: bytes, count: int) -> Callable[[bytes, bytes | None], bytes]:
        """What makes whole envelopes with this header from data, wherever they will stand."""
        return _sealer(header)

    def decode(self, params: bytes, body: bytes, context: Context, header: bytes, limits: Limits) -> bytes:
        if len(body) < _SIZE:
            raise DecodeError("truncated", codec=self.name, detail="the bytes end within the checksum")
        data = body[:-_SIZE]
        if _checksum(header, data) != body[-_SIZE:]:
            raise DecodeError(
                "corrupt",
                codec=self.name,
                detail="the checksum does not match: bytes were changed or cut off; "
                "restore the value from a backup",
            )
        return data

    def checked(self, data: bytes, start: int) -> bytes:
        """The body of a whole envelope whose header ends at `start`, as `decode` gives it.

        Raises:
            ValueError: the checksum does not match.
        """
        end = len(data) - _SIZE
        if end < start or crc32(data[:end]) != int.from_bytes(data[end:], "big"):
            raise ValueError("the checksum does not match")
        return data[start:end]


@functools.lru_cache(maxsize=64)
def _sealer(header: bytes) -> Callable[[bytes, bytes | None], bytes]:
    begun = crc32(header)

    def seal(data: bytes, entry_id: bytes | None) -> bytes:
        return header + data + crc32(data, begun).to_bytes(_SIZE, "big")

    return seal


def _checksum(header: bytes, data: bytes) -> bytes:
    return crc32(data, crc32(header)).to_bytes(_SIZE, "big")
