"""Decompression that stops at a limit: a few kilobytes can otherwise become gigabytes."""

from __future__ import annotations

from typing import Protocol

from miniagent_store.errors import DecodeError
from miniagent_store.serializer import Limits


class Decompressor(Protocol):
    """What the decompressors of zlib and of zstd have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def decompress_bounded(decompressor: Decompressor, body: bytes, codec: str, limits: Limits) -> bytes:
    """The output of `body`, if that is one whole stream of at most `limits.decoded` bytes.

    Sizes that a stream declares are not believed; only what comes out counts.

    Raises:
        DecodeError: too large, truncated (neither zlib nor zstd tells by itself), corrupt.
    """
    data = decompressor.decompress(body, limits.decoded + 1)
    if len(data) > limits.decoded:
        raise DecodeError(
            "too large",
            codec=codec,
            detail=f"more than {limits.decoded} bytes come out of {len(body)}; "
            "if that is no attack, raise Limits.decoded",
        )
    if not decompressor.eof:
        raise DecodeError("truncated", codec=codec, detail="the compressed bytes end too early")
    if decompressor.unused_data:
        raise DecodeError("corrupt", codec=codec, detail="more bytes follow the compressed ones")
    return data
