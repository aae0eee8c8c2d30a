"""The short way to write most values: plain data, packed by a serializer that checks what it packs.

Only what a serializer would not notice is checked here: exact types, keys, depth, floats that are finite.
Ranges of ints and validity of text it notices while it packs. Whatever this does not know, or does not
like, is left to the long way, which tells what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from miniagent_store.codec.plain import TAG
from miniagent_store.serializer import Context, Layer, Limits, Serializer

ValueWriter = Callable[[Any, bytes | None], bytes]
"""(value, entry id) → stored bytes, all at one place but for the entry's id."""
PlaceWriter = Callable[[Context, int], ValueWriter]
"""(place, number of values) → what writes them."""
LongWay = Callable[[Any, Context, bytes | None], bytes]
"""(value, place, entry id) → stored bytes."""
Seal = Callable[[bytes, bytes | None], bytes]
"""(data, entry id) → an envelope."""

_LEAVES = frozenset({type(None), bool, int, str})
_LEAVES_AND_BYTES = _LEAVES | {bytes}


def quick_writer(
    serializer: Serializer,
    compressor: Layer | None,
    layers: Sequence[Layer],
    headers: tuple[bytes, bytes],
    compress_from: int,
    limits: Limits,
    long_way: LongWay,
) -> PlaceWriter | None:
    """What writes values of one place after the other; None if there is no short way.

    There is one where the serializer has `dumps_strictly`, and the only layer has `sealer_at`; see
    `Serializer` and `Layer`.

    Args:
        serializer: of the chain.
        compressor: of the chain; None for none.
        layers: of the chain, without compression.
        headers: of untagged values, not compressed and compressed.
        compress_from: bytes from which on a value is compressed.
        limits: of sizes and depth.
        long_way: writes any value, or raises what is wrong with it.
    """
    strict: Callable[[Any], bytes] | None = getattr(serializer, "dumps_strictly", None)
    sealer: Callable[[Context, bytes, int], Seal] | None = (
        getattr(layers[0], "sealer_at", None) if len(layers) == 1 else None
    )
    if strict is None or sealer is None or (compressor is not None and compressor.params_size):
        return None
    dumps, sealer_at, compress = strict, sealer, None if compressor is None else compressor.encode
    header, compressed_header = headers
    leaves = _LEAVES_AND_BYTES if serializer.native_bytes else _LEAVES
    depth, encoded, decoded = limits.depth, limits.encoded, limits.decoded

    def writer(place: Context, count: int) -> ValueWriter:
        seal: Seal | None = None
        seal_shrunk: Seal | None = None

        def write(value: Any, entry_id: bytes | None) -> bytes:
            nonlocal seal, seal_shrunk
            try:
                if type(value) in leaves or is_packable(value, depth, leaves):
                    body = shrunk = dumps(value)
                    size, params = len(body), b""
                    if size > decoded:
                        raise ValueError
                    if compress is not None and size >= compress_from:
                        params, shrunk = compress(body, place, b"")
                    if not params and len(shrunk) < size:
                        if seal_shrunk is None:
                            seal_shrunk = sealer_at(place, compressed_header, count)
                        sealed = seal_shrunk(shrunk, entry_id)
                    else:
                        if seal is None:
                            seal = sealer_at(place, header, count)
                        sealed = seal(body, entry_id)
                    if not params and len(sealed) <= encoded:
                        return sealed
            except Exception:  # noqa: BLE001 - what goes wrong here goes wrong again below, where it is told
                pass
            return long_way(value, place, entry_id)

        return write

    return writer


def is_packable(value: Any, depth: int, leaves: frozenset[type]) -> bool:
    """Whether `value` is plain data, provided that ints are in range and text is valid.

    Args:
        value: anything.
        depth: how deep it may be nested.
        leaves: the types that are plain by themselves.
    """
    kind = type(value)
    items: Iterable[Any]
    if kind is dict and depth > 0:
        for key in value:
            if type(key) is not str:
                return False
        # Only now, so that no key's own `__eq__` is asked.
        if TAG in value:
            return False
        items = value.values()
    elif kind is list and depth > 0:
        items = value
    else:
        # Exact, and neither NaN nor infinite.
        return kind is float and bool(value - value == 0.0)
    for item in items:
        if type(item) not in leaves and not is_packable(item, depth - 1, leaves):
            return False
    return True
