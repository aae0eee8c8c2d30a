"""The short way to read many values of one log at once: as `quick`, with a loop in C for each step.

Whatever it does not know, or does not like, is left to the long way, which reads one by one and tells what
is wrong with which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, compress
from typing import Any

from miniagent_store.codec.plain import SCALARS, check_plain
from miniagent_store.serializer import Context, Layer, Limits, Serializer

OpenAll = Callable[[Sequence[bytes], int, bytes, Context, Sequence[bytes]], list[bytes]]
"""(bytes that end with envelopes, where these begin, their header, place, ids of entries) → data."""
# More than this is not decoded without giving others a turn.
BYTES_AT_ONCE = 256 * 1024
BulkReader = Callable[[Sequence[bytes], int, Context, Sequence[bytes]], list[dict[str, Any]]]
"""(bytes that end with envelopes, where these begin, place, ids of entries) → mappings; raises anything."""


def bulk_reader(
    serializer: Serializer,
    compressor: Layer | None,
    layers: Sequence[Layer],
    headers: tuple[bytes, bytes],
    limits: Limits,
) -> BulkReader | None:
    """A function that reads mappings with one of these headers; None if there is no short way.

    There is one where the only layer has `open_all`; the serializer may have `load_all`. See `Layer` and
    `Serializer`.

    Args:
        serializer: of the chain.
        compressor: of the chain; None for none.
        layers: of the chain, without compression.
        headers: of untagged values, not compressed and compressed.
        limits: of sizes and depth.
    """
    open_all: OpenAll | None = getattr(layers[0], "open_all", None) if len(layers) == 1 else None
    if open_all is None or not serializer.safe or limits.depth < 1:
        return None
    # None of them is over the limits if all together are not.
    largest = min(limits.encoded, limits.decoded, BYTES_AT_ONCE)
    load_all: Callable[[Sequence[bytes]], list[Any]] | None = getattr(serializer, "load_all", None)
    take_off = _expanding(open_all, compressor, headers, limits) if compressor is not None else open_all

    def read(
        envelopes: Sequence[bytes], start: int, place: Context, ids: Sequence[bytes]
    ) -> list[dict[str, Any]]:
        if sum(map(len, envelopes)) > largest:
            raise ValueError("too large")
        bodies = take_off(envelopes, start, headers[0], place, ids)
        if load_all is not None:
            values = load_all(bodies)
        else:
            values = [serializer.loads(body, place, limits) for body in bodies]
            if set(map(type, values)) != {dict}:
                raise TypeError("not a mapping")
        _check_all(values, limits.depth, serializer.native_bytes)
        return values

    return read


def _expanding(
    open_all: OpenAll, compressor: Layer, headers: tuple[bytes, bytes], limits: Limits
) -> OpenAll:
    """`open_all` where some values are compressed and some are not."""
    shrunk_header, params_size = headers[1], compressor.params_size

    def open_and_expand(
        envelopes: Sequence[bytes], start: int, header: bytes, place: Context, ids: Sequence[bytes]
    ) -> list[bytes]:
        is_shrunk = [each.startswith(shrunk_header, start) for each in envelopes]
        if params_size or not any(is_shrunk):
            return open_all(envelopes, start, header, place, ids)
        bodies = open_all(
            [*compress(envelopes, is_shrunk)], start, shrunk_header, place, [*compress(ids, is_shrunk)]
        )
        expanded = [compressor.decode(b"", body, place, b"", limits) for body in bodies]
        if len(expanded) == len(envelopes):
            return expanded
        is_plain = [not each for each in is_shrunk]
        plain = open_all([*compress(envelopes, is_plain)], start, header, place, [*compress(ids, is_plain)])
        kinds = {True: iter(expanded), False: iter(plain)}
        return [next(kinds[each]) for each in is_shrunk]

    return open_and_expand


def _check_all(values: Sequence[Any], depth: int, native_bytes: bool) -> None:
    """Refuse what is no mapping of the value model.

    Raises:
        TypeError, DecodeError: there is one.
    """
    scalars = SCALARS | {bytes} if native_bytes else SCALARS
    # What is no dict raises.
    kinds = set(map(type, chain.from_iterable(map(dict.values, values))))
    if not all(type(key) is str for key in set().union(*values)):
        raise TypeError("a key is not text")
    if not kinds <= scalars:
        for value in values:
            for item in value.values():
                if type(item) not in scalars:
                    check_plain(item, depth - 1, native_bytes)
