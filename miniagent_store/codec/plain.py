"""Plain data: what goes through every serializer as it is. Most values are nothing else.

Both checks run for every value that is written or read, so they are single loops over exact types.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from miniagent_store.codec.scalars import INT_END, INT_MIN
from miniagent_store.errors import DecodeError, EncodeError, SerializationError

TAG, VALUE = "$t", "v"

SCALARS = frozenset({type(None), bool, int, float, str})
_SCALARS_AND_BYTES = SCALARS | {bytes}


def is_plain(value: Any, depth: int, native_bytes: bool) -> bool:
    """Whether `value` is plain data, no deeper than `depth`; this is what most values are.

    Never raises: what is not plain is left to `ValueModel.flatten`, which knows how to say why.
    """
    kind = type(value)
    if kind is dict:
        if depth <= 0:
            return False
        for key in value:
            if type(key) is not str or key == TAG or not (key.isascii() or is_valid_text(key)):
                return False
        items: Iterable[Any] = value.values()
    elif kind is list:
        if depth <= 0:
            return False
        items = value
    else:
        items = (value,)
    for item in items:
        kind = type(item)
        if kind is str:
            if not (item.isascii() or is_valid_text(item)):
                return False
        elif kind is dict or kind is list:
            if not is_plain(item, depth - 1, native_bytes):
                return False
        elif kind is int:
            if not INT_MIN <= item < INT_END:
                return False
        elif kind is float:
            if item - item != 0.0:  # NaN for NaN and both infinities
                return False
        elif kind is not bool and item is not None and not (native_bytes and kind is bytes):
            return False
    return True


def check_plain(data: Any, depth: int, native_bytes: bool) -> None:
    """Refuse what a serializer read and the model does not have, or what is nested too deep."""
    scalars = _SCALARS_AND_BYTES if native_bytes else SCALARS
    kind = type(data)
    if kind is dict:
        for key in data:
            if type(key) is not str:
                raise corrupt("a key is not text")
        items: Iterable[Any] = data.values()
    elif kind is list:
        items = data
    elif kind in scalars:
        return
    else:
        raise corrupt(f"{kind.__name__} is not a part of the value model")
    check_depth(depth, DecodeError)
    for item in items:
        if type(item) not in scalars:
            check_plain(item, depth - 1, native_bytes)


def corrupt(what: str) -> DecodeError:
    return DecodeError("corrupt", detail=what)


def check_depth(depth: int, error: type[SerializationError] = EncodeError) -> None:
    if depth <= 0:
        raise error(
            "too deep",
            detail="lists and mappings are nested deeper than the limit, or one contains itself; "
            "flatten the value, or raise Limits.depth",
        )


def is_valid_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
