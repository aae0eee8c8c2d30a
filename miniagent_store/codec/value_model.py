"""The value model: which values can be stored, and how all of them become plain data and return.

Plain data goes through every serializer as it is: None, bool, int in [-2^63, 2^64), finite float, valid
str, list, dict with str keys, and bytes where the serializer has them. Everything else of the model is
written as ``{"$t": tag, "v": data}``. A dict that has a key "$t" of its own, or keys that are not str, is
written as pairs under the tag "map", so that no dict of a user is ever taken for a tag.

Types are matched exactly: a subclass (an IntEnum, a namedtuple, a str subclass) would come back as its
base, so it is refused unless it is registered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Any, TypeVar

from miniagent_store.codec.paths import prefixed
from miniagent_store.codec.plain import (
    SCALARS,
    TAG,
    VALUE,
    check_depth,
    check_plain,
    corrupt,
    is_plain,
    is_valid_text,
)
from miniagent_store.codec.scalars import (
    INT_END,
    INT_MIN,
    MODEL_TYPES,
    READERS,
    WRITERS,
    equals_itself,
    float_text,
    int_text,
    read_int,
)
from miniagent_store.codec.types import TypeRegistry
from miniagent_store.errors import DecodeError, EncodeError, SerializationError
from miniagent_store.serializer import Limits

R = TypeVar("R", bound=Sized)

_SEQUENCES: dict[type, str] = {tuple: "tuple", set: "set", frozenset: "frozenset"}
_SEQUENCE_TYPES: dict[str, Any] = {"tuple": tuple, "set": set, "frozenset": frozenset}


class ValueModel:
    """Turns values into plain data and back.

    Args:
        types: classes of the application that may be stored.
        limits: depth and size of ints; both ways, so that nothing is written that cannot be read.
        natives: classes that the serializer takes as they are; what their objects hold is its business.
    """

    __slots__ = ("_depth", "_digits", "_int_bound", "_natives", "_types")

    def __init__(self, types: TypeRegistry, limits: Limits, natives: frozenset[type] = frozenset()) -> None:
        self._types, self._natives = types, natives
        self._depth = limits.depth
        self._digits = limits.big_int_digits
        self._int_bound: int = 10**limits.big_int_digits

    # -- value → plain data ------------------------------------------------------------------------

    def flatten(self, value: Any, *, native_bytes: bool) -> tuple[Any, bool]:
        """Plain data for `value`, and whether it holds tags. Data that is plain is returned itself.

        Raises:
            EncodeError: unsupported type, out of range, invalid text, too deep.
        """
        if is_plain(value, self._depth, native_bytes):
            return value, False
        return self._flatten(value, self._depth, native_bytes), True

    def _flatten(self, value: Any, depth: int, native_bytes: bool) -> Any:
        kind = type(value)
        if kind is str:
            return _valid_text(value)
        if kind is bool or value is None or (native_bytes and kind is bytes):
            return value
        if kind is int:
            return self._flatten_int(value)
        if kind is float:
            return value if value - value == 0.0 else {TAG: "float", VALUE: float_text(value)}
        if kind is dict:
            return self._flatten_dict(value, depth, native_bytes)
        if kind is list:
            return self._flatten_items(value, depth, native_bytes)
        if kind in _SEQUENCES:
            items = self._flatten_items(value, depth, native_bytes, hashed=kind is not tuple)
            return {TAG: _SEQUENCES[kind], VALUE: items}
        if kind in WRITERS:
            tag, write = WRITERS[kind]
            return {TAG: tag, VALUE: write(value)}
        registered = self._types.of_class(kind)
        if registered is None and kind in self._natives:
            return value
        if registered is None:
            raise EncodeError("unsupported type", detail=_unsupported(kind))
        fields = registered.fields_of(value)
        flat = self._flatten_str_dict(fields, depth, native_bytes)
        return {TAG: "object", VALUE: {"n": registered.name, "f": flat}}

    def _flatten_int(self, value: int) -> Any:
        if INT_MIN <= value < INT_END:
            return value
        if not -self._int_bound < value < self._int_bound:
            raise EncodeError(
                "out of range", detail=f"an int may have at most {self._digits} decimal digits"
            )
        return {TAG: "int", VALUE: int_text(value)}

    def _flatten_dict(self, value: dict[Any, Any], depth: int, native_bytes: bool) -> Any:
        if TAG not in value and all(type(key) is str for key in value):
            return self._flatten_str_dict(value, depth, native_bytes)
        check_depth(depth)
        pairs: list[Any] = []
        key: Any = None
        try:
            for key, item in value.items():
                if not equals_itself(key):
                    raise EncodeError("out of range", detail=_NAN_AS_KEY)
                flat_key = self._flatten(key, depth - 1, native_bytes)
                pairs.append([flat_key, self._flatten(item, depth - 1, native_bytes)])
        except SerializationError as error:
            error.path = prefixed(key, error.path)
            raise
        return {TAG: "map", VALUE: pairs}

    def _flatten_str_dict(self, value: dict[str, Any], depth: int, native_bytes: bool) -> Any:
        check_depth(depth)
        flat: dict[str, Any] = {}
        key: Any = None
        try:
            for key, item in value.items():
                flat[_valid_text(key)] = self._flatten(item, depth - 1, native_bytes)
        except SerializationError as error:
            error.path = prefixed(key, error.path)
            raise
        return flat

    def _flatten_items(
        self, items: Iterable[Any], depth: int, native_bytes: bool, *, hashed: bool = False
    ) -> list[Any]:
        check_depth(depth)
        flat: list[Any] = []
        try:
            for item in items:
                if hashed and not equals_itself(item):
                    raise EncodeError("out of range", detail=_NAN_AS_KEY)
                flat.append(self._flatten(item, depth - 1, native_bytes))
        except SerializationError as error:
            error.path = prefixed(len(flat), error.path)
            raise
        return flat

    # -- plain data → value ------------------------------------------------------------------------

    def restore(self, data: Any, *, tagged: bool, native_bytes: bool) -> Any:
        """The value that `data`, fresh from a serializer, stands for; containers are used again.

        Raises:
            DecodeError: unknown tag, type not registered, corrupt, too deep.
        """
        if tagged:
            return self._restore(data, self._depth, native_bytes)
        check_plain(data, self._depth, native_bytes)
        return data

    def _restore(self, data: Any, depth: int, native_bytes: bool) -> Any:
        kind = type(data)
        if kind is dict:
            if TAG in data:
                return self._restore_tagged(data, depth, native_bytes)
            return self._restore_dict(data, depth, native_bytes)
        if kind is list:
            return self._restore_items(data, depth, native_bytes)
        if kind in SCALARS or (native_bytes and kind is bytes) or kind in self._natives:
            return data
        raise corrupt(f"{kind.__name__} is not a part of the value model")

    def _restore_dict(self, data: dict[Any, Any], depth: int, native_bytes: bool) -> dict[str, Any]:
        check_depth(depth, DecodeError)
        key: Any = None
        try:
            for key, item in data.items():
                if type(key) is not str:
                    raise corrupt("a key is not text")
                data[key] = self._restore(item, depth - 1, native_bytes)
        except SerializationError as error:
            error.path = prefixed(key, error.path)
            raise
        return data

    def _restore_items(self, data: list[Any], depth: int, native_bytes: bool) -> list[Any]:
        check_depth(depth, DecodeError)
        index = 0
        try:
            for index, item in enumerate(data):
                data[index] = self._restore(item, depth - 1, native_bytes)
        except SerializationError as error:
            error.path = prefixed(index, error.path)
            raise
        return data

    def _restore_tagged(self, data: dict[str, Any], depth: int, native_bytes: bool) -> Any:
        tag = data[TAG]
        if len(data) != 2 or VALUE not in data or type(tag) is not str:
            raise corrupt("a type tag is malformed")
        inner = data[VALUE]
        failure: str
        try:
            if tag in READERS:
                return READERS[tag](inner)
            if tag == "int":
                return read_int(inner, self._int_bound)
            if tag in _SEQUENCE_TYPES:
                items = self._restore_items(_list(inner), depth, native_bytes)
                return _without_twins(_SEQUENCE_TYPES[tag](items), items)
            if tag == "map":
                return self._restore_map(_list(inner), depth, native_bytes)
            if tag == "object":
                return self._restore_object(inner, depth, native_bytes)
            raise DecodeError("unknown tag", detail=_UNKNOWN_TAG)
        except (SerializationError, RecursionError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - readers are given whatever stands in the bytes
            failure = type(error).__name__
        raise corrupt(f"what is tagged {tag!r} cannot be read ({failure})")

    def _restore_map(self, pairs: list[Any], depth: int, native_bytes: bool) -> dict[Any, Any]:
        check_depth(depth, DecodeError)
        restored: dict[Any, Any] = {}
        key: Any = None
        try:
            for raw_key, item in pairs:
                key = None
                key = self._restore(raw_key, depth - 1, native_bytes)
                restored[key] = self._restore(item, depth - 1, native_bytes)
        except SerializationError as error:
            error.path = prefixed(key, error.path)
            raise
        return _without_twins(restored, pairs)

    def _restore_object(self, data: Any, depth: int, native_bytes: bool) -> Any:
        name, fields = data["n"], data["f"]
        if type(name) is not str or type(fields) is not dict or len(data) != 2:
            raise corrupt("a registered object is malformed")
        registered = self._types.of_name(name)
        return registered.build(self._restore_dict(fields, depth, native_bytes))


_NAN_AS_KEY = "NaN cannot be a key or an element of a set: it does not equal itself"
_UNKNOWN_TAG = "a newer version wrote a type that this one does not have; upgrade miniagent-store"


def _valid_text(text: str) -> str:
    if text.isascii() or is_valid_text(text):
        return text
    raise EncodeError(
        "invalid text",
        detail="a str holds a lone surrogate, which is no character; "
        "clean it with text.encode('utf-8', 'replace').decode(), or store the raw bytes",
    )


def _unsupported(kind: type) -> str:
    name = kind.__qualname__
    advice = f"register it: types.register({name}, 'yourapp.{name}/1')"
    base = next((b for b in kind.__mro__[1:] if b in MODEL_TYPES), None)
    if issubclass(kind, (bytearray, memoryview)):
        base = bytes
    convert = f"convert it with {base.__name__}(…)" if base else "convert it to a dict first"
    return f"{kind.__module__}.{name} is not in the value model; {advice}, or {convert}"


def _list(data: Any) -> list[Any]:
    if type(data) is not list:
        raise TypeError
    return data


def _without_twins(restored: R, items: list[Any]) -> R:
    if len(restored) != len(items):
        raise corrupt("a set or mapping holds an element twice")
    return restored
