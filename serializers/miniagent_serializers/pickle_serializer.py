"""Pickle, for objects that are not worth registering; never without leave given in code.

Never safe by itself: whoever can write such values can call the listed classes with any arguments. So a
chain has to authenticate them, which is checked before a byte is parsed (`Chain`).
"""

from __future__ import annotations

import copyreg
import io
import pickle
from collections.abc import Iterable
from typing import Any, Self

from miniagent_serializers.restricted_pickle import Classes, RestrictedUnpickler
from miniagent_store.errors import ConfigurationError, DecodeError, EncodeError
from miniagent_store.serializer import Context, Limits

# Read by every Python that this library runs on.
_PROTOCOL = 4
_NO_LEAVE = "pickle may run code; it is used only where code gives leave by open_store(allow_pickle=True)"


class PickleSerializer:
    """Pickle, protocol 4, with an exact list of classes.

    None, numbers, str, bytes, lists, dicts, tuples and sets need no list.

    Args:
        classes: those whose objects may be written and read; None: nothing may.

    Raises:
        ConfigurationError: one of them is no class, or is found by a dotted name.
    """

    name = "pickle"
    wire_id: int | None = 0x0F
    safe = False
    native_bytes = True

    def __init__(self, classes: Iterable[type] | None = None) -> None:
        self.classes: frozenset[type] | None = None if classes is None else frozenset(classes)
        self._by_name: Classes = {_name_of(cls): cls for cls in self.classes or ()}

    def with_classes(self, classes: Iterable[type]) -> Self:
        """A serializer that may be used, with these classes."""
        return type(self)(classes)

    def dumps(self, value: Any, context: Context) -> bytes:
        if self.classes is None:
            raise EncodeError("codec not allowed", codec=self.name, detail=_NO_LEAVE)
        file = io.BytesIO()
        _RestrictedPickler(file, self.classes).dump(value)
        return file.getvalue()

    def loads(self, data: bytes, context: Context, limits: Limits) -> Any:
        if self.classes is None:
            raise DecodeError("codec not allowed", codec=self.name, detail=_NO_LEAVE)
        return RestrictedUnpickler(data, self._by_name).load()


class _RestrictedPickler(pickle.Pickler):
    """Refuses to write what `RestrictedUnpickler` would refuse to read."""

    def __init__(self, file: io.BytesIO, classes: frozenset[type]) -> None:
        super().__init__(file, _PROTOCOL)
        self._classes = classes

    def reducer_override(self, obj: Any) -> Any:
        # Called for all but the built-in containers and scalars; for the classes themselves too.
        if isinstance(obj, type):
            if obj in self._classes:
                return NotImplemented
            raise _not_listed(obj)
        kind = type(obj)
        if kind not in self._classes:
            raise _not_listed(kind)
        reduce = copyreg.dispatch_table.get(kind)
        reduced = obj.__reduce_ex__(_PROTOCOL) if reduce is None else reduce(obj)
        if isinstance(reduced, str):
            raise EncodeError(
                "unsupported type",
                codec=PickleSerializer.name,
                detail=f"{kind.__qualname__} is pickled as a name to look up, not as a value",
            )
        return reduced


def _not_listed(cls: type) -> EncodeError:
    return EncodeError(
        "class not allowed",
        codec=PickleSerializer.name,
        detail=f"{cls.__module__}.{cls.__qualname__} is not on the list; "
        "add it: open_store(pickle_classes=[…])",
    )


def _name_of(cls: Any) -> tuple[str, str]:
    if not isinstance(cls, type):
        raise ConfigurationError(f"pickle_classes takes classes, not {type(cls).__name__}")
    if "." in cls.__qualname__:
        raise ConfigurationError(
            f"{cls.__qualname__} is defined inside of something else and would be found by a dotted name; "
            "move it to the top of its module"
        )
    return cls.__module__, cls.__qualname__
