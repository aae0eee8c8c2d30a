"""The short way to read most values: plain data under nothing but a checksum, of the codec's own chain.

Whatever it does not know, or does not like, is left to the long way, which tells what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from miniagent_store.codec.plain import SCALARS, check_plain
from miniagent_store.serializer import Context, Layer, Limits, Serializer

# Not read: take the long way.
UNREAD: Any = object()
QuickReader = Callable[[bytes, Context], Any]


def quick_reader(
    serializer: Serializer, layers: Sequence[Layer], header: bytes, limits: Limits
) -> QuickReader | None:
    """A function that reads values with this header, or gives `UNREAD`; None if there is no short way.

    Args:
        serializer: of the chain.
        layers: of the chain, without compression, which leaves small values as they are.
        header: of untagged values that are not compressed.
        limits: of sizes and depth.
    """
    checked: Callable[[bytes, int], bytes] | None = None
    if len(layers) == 1 and serializer.safe:
        checked = getattr(layers[0], "checked", None)
    if checked is None:
        return None
    take_off, loads, size = checked, serializer.loads, len(header)
    largest, depth, native_bytes = (
        min(limits.encoded, limits.decoded),
        limits.depth,
        serializer.native_bytes,
    )
    scalars = SCALARS | {bytes} if native_bytes else SCALARS

    def read(data: bytes, context: Context) -> Any:
        if data[:size] != header or len(data) > largest:
            return UNREAD
        plain = loads(take_off(data, size), context, limits)
        if type(plain) is not dict or depth < 1:
            return UNREAD
        for key in plain:
            if type(key) is not str:
                return UNREAD
        for item in plain.values():
            if type(item) not in scalars:
                check_plain(item, depth - 1, native_bytes)
        return plain

    return read
