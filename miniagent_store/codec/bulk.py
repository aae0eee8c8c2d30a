"""The short way to read many values of one log at once: as `quick`, with a loop in C for each step.

Whatever it does not know, or does not like, is left to the long way, which reads one by one and tells what
is wrong with which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from miniagent_store.codec.plain import SCALARS, check_plain
from miniagent_store.serializer import Context, Layer, Limits, Serializer

# More than this is not decoded without giving others a turn.
BYTES_AT_ONCE = 256 * 1024
BulkReader = Callable[[Sequence[bytes], int, Context, Sequence[bytes]], list[dict[str, Any]]]
"""(bytes that end with envelopes, where these begin, place, ids of entries) → mappings; raises anything."""


def bulk_reader(
    serializer: Serializer, layers: Sequence[Layer], header: bytes, limits: Limits
) -> BulkReader | None:
    """A function that reads mappings with this header, at least one; None if there is no short way.

    Args:
        serializer: of the chain.
        layers: of the chain, without compression, which leaves small values as they are.
        header: of untagged values that are not compressed.
        limits: of sizes and depth.
    """
    open_all = getattr(layers[0], "open_all", None) if len(layers) == 1 else None
    if open_all is None or not serializer.safe or limits.depth < 1:
        return None
    # None of them is over the limits if all together are not.
    largest = min(limits.encoded, limits.decoded, BYTES_AT_ONCE)
    load_all: Callable[[Sequence[bytes]], list[Any]] | None = getattr(serializer, "load_all", None)

    def read(
        envelopes: Sequence[bytes], start: int, place: Context, ids: Sequence[bytes]
    ) -> list[dict[str, Any]]:
        if sum(map(len, envelopes)) > largest:
            raise ValueError("too large")
        bodies = open_all(envelopes, start, header, place, ids)
        if load_all is not None:
            values = load_all(bodies)
        else:
            values = [serializer.loads(body, place, limits) for body in bodies]
        _check_all(values, limits.depth, serializer.native_bytes)
        return values

    return read


def _check_all(values: Sequence[Any], depth: int, native_bytes: bool) -> None:
    """Refuse what is no mapping of the value model.

    Raises:
        TypeError, DecodeError: there is one.
    """
    scalars = SCALARS | {bytes} if native_bytes else SCALARS
    # What is no dict raises.
    kinds = set(map(type, chain.from_iterable(map(dict.values, values))))
    if not all(type(key) is str for key in set(chain.from_iterable(values))):
        raise TypeError("a key is not text")
    if not kinds <= scalars:
        for value in values:
            for item in value.values():
                if type(item) not in scalars:
                    check_plain(item, depth - 1, native_bytes)
