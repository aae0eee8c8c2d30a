"""A checksum that notices damage: flipped bits, cut ends. No protection against someone who changes
bytes on purpose; that is what authentication is for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from operator import itemgetter
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

    def sealer_at(
        self, context: Context, header: bytes, count: int
    ) -> Callable[[bytes, bytes | None], bytes]:
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

    def open_all(
        self, envelopes: Sequence[bytes], start: int, header: bytes, context: Context, ids: Sequence[bytes]
    ) -> list[bytes]:
        """The data of many values whose envelopes have the same header.

        All checksums are checked by one CRC-32 over all data. Where a checksum follows its data, the least
        significant byte first, the register holds the same number whatever the data was; `_RESTART` takes
        it from there to where it began, and the next header follows. So the register ends where it began,
        unless something was changed, which is carried to the end: a flipped bit always is.

        Args:
            envelopes: bytes that end with the envelopes, at least one.
            start: where in each of them its header begins.
            header: of all of them.
            context, ids: their places, which make no difference.

        Raises:
            ValueError: a checksum does not match, a header is another, or there is no data.
        """
        begin, count = start + len(header), len(envelopes)
        if b"".join(map(itemgetter(slice(start, begin)), envelopes)) != header * count:
            raise ValueError("another header")
        bodies = list(map(itemgetter(slice(begin, -_SIZE)), envelopes))
        if not all(bodies):
            raise ValueError("there is no data")
        stream = [_RESTART + header] * (3 * count)
        stream[0::3] = bodies
        stream[1::3] = map(_REVERSED_CHECKSUM, envelopes)
        begun = crc32(header)
        if crc32(b"".join(stream), begun) != begun:
            raise ValueError("a checksum does not match")
        return bodies


_REVERSED_CHECKSUM = itemgetter(slice(-1, -1 - _SIZE, -1))
# crc32(_RESTART, crc32(checksum)) == 0 for any four bytes behind the data that they are the checksum of.
_RESTART = bytes.fromhex("81d59d4c")


@functools.lru_cache(maxsize=64)
def _sealer(header: bytes) -> Callable[[bytes, bytes | None], bytes]:
    begun = crc32(header)

    def seal(data: bytes, entry_id: bytes | None) -> bytes:
        return header + data + crc32(data, begun).to_bytes(_SIZE, "big")

    return seal


def _checksum(header: bytes, data: bytes) -> bytes:
    return crc32(data, crc32(header)).to_bytes(_SIZE, "big")
