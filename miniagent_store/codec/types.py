"""Classes of the application that may be stored, by stable names.

A stored object carries its registered name, never a module or class: nothing is imported because of what
stands in stored bytes. A name that is not registered is an error, when writing and when reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from miniagent_store.codec.fields import FromFields, ToFields, conversion_for
from miniagent_store.codec.scalars import MODEL_TYPES
from miniagent_store.errors import ConfigurationError, DecodeError, EncodeError

C = TypeVar("C", bound=type)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,95}(/[0-9]{1,4})?")


@dataclass(frozen=True, slots=True)
class RegisteredType:
    """A class, its name on the wire, and how its objects become fields and return."""

    cls: type
    name: str
    to_fields: ToFields
    from_fields: FromFields

    def fields_of(self, value: Any) -> dict[str, Any]:
        """The fields of `value`; whatever goes wrong becomes an `EncodeError`."""
        try:
            fields = self.to_fields(value)
            if _is_fields(fields):
                return fields
            problem = "to_fields must return a dict with str keys"
        except Exception as error:  # noqa: BLE001 - code of the application, whose error may hold payload
            problem = f"its to_fields raised {type(error).__name__}"
        raise EncodeError("fields do not fit", detail=f"registered type {self.name!r}: {problem}")

    def build(self, fields: dict[str, Any]) -> Any:
        """An object from `fields`; whatever goes wrong becomes a `DecodeError`."""
        try:
            return self.from_fields(fields)
        except Exception as error:  # noqa: BLE001 - as above
            problem = type(error).__name__
        raise DecodeError(
            "fields do not fit",
            detail=f"what was stored as {self.name!r} cannot become a {self.cls.__qualname__} "
            f"({problem}); register it with a from_fields that reads older values too",
        )


class TypeRegistry:
    """Which classes may be stored, each under a name that never changes.

    Dataclasses, attrs classes, msgspec structs, pydantic models, enums and namedtuples need a name only;
    others also `to_fields` and `from_fields`. Subclasses are not registered along with their base.

    Example:
        >>> from dataclasses import dataclass
        >>> types = TypeRegistry()
        >>> @types.register("acme.Message/1")
        ... @dataclass
        ... class Message:
        ...     text: str
        >>> "acme.Message/1" in types
        True
    """

    def __init__(self) -> None:
        self._by_class: dict[type, RegisteredType] = {}
        self._by_name: dict[str, RegisteredType] = {}

    @overload
    def register(
        self,
        cls: str,
        /,
        *,
        to_fields: ToFields | None = None,
        from_fields: FromFields | None = None,
    ) -> Callable[[C], C]: ...

    @overload
    def register(
        self,
        cls: C,
        name: str,
        /,
        *,
        to_fields: ToFields | None = None,
        from_fields: FromFields | None = None,
    ) -> C: ...

    def register(
        self,
        cls: Any,
        name: str | None = None,
        /,
        *,
        to_fields: ToFields | None = None,
        from_fields: FromFields | None = None,
    ) -> Any:
        """Let objects of exactly the class `cls` be stored under `name`.

        With a name alone it is a decorator: ``@types.register("acme.Message/1")``.

        Args:
            cls: the class.
            name: such as "acme.Message/1"; keep it when the class is renamed or moved, and register a
                new one, "acme.Message/2", when its fields change their meaning.
            to_fields: object → dict with str keys; values may be anything that can be stored.
            from_fields: the way back.

        Returns:
            The class, or a decorator.

        Raises:
            ConfigurationError: the name is malformed or taken, or the class cannot be registered so.
        """
        if isinstance(cls, str):
            wire_name = cls
            return lambda decorated: self.register(
                decorated, wire_name, to_fields=to_fields, from_fields=from_fields
            )
        if name is None:
            raise ConfigurationError("register() needs a name, such as 'acme.Message/1'")
        self._check(cls, name)
        if (to_fields is None) != (from_fields is None):
            raise ConfigurationError(
                f"{name!r}: give both to_fields and from_fields, or neither; one way only loses data"
            )
        if to_fields is None or from_fields is None:
            to_fields, from_fields = conversion_for(cls)
        registered = RegisteredType(cls, name, to_fields, from_fields)
        self._by_class[cls] = self._by_name[name] = registered
        return cls

    def _check(self, cls: Any, name: str) -> None:
        if not isinstance(cls, type):
            raise ConfigurationError(f"{name!r}: register() takes a class")
        if cls in MODEL_TYPES:
            raise ConfigurationError(f"{cls.__qualname__} can be stored as it is; do not register it")
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{name[:100]!r} cannot name a type; use letters, digits, '.', '_' and '-', "
                "and a version at the end, such as 'acme.Message/1'"
            )
        for taken in (self._by_name.get(name), self._by_class.get(cls)):
            if taken is not None and (taken.cls, taken.name) != (cls, name):
                raise ConfigurationError(
                    f"{cls.__qualname__} cannot be registered as {name!r}: "
                    f"{taken.cls.__qualname__} is registered as {taken.name!r}"
                )

    def of_class(self, cls: type) -> RegisteredType | None:
        """What is registered for exactly `cls`."""
        return self._by_class.get(cls)

    def of_name(self, name: str) -> RegisteredType:
        """What is registered under `name`.

        Raises:
            DecodeError: nothing is.
        """
        registered = self._by_name.get(name)
        if registered is None:
            # Shown only if it has the form of a name: it comes from stored bytes.
            shown = repr(name) if _NAME.fullmatch(name) else "its name"
            raise DecodeError(
                "type not registered",
                detail=f"register the class for {shown} before reading: types.register(cls, name)",
            )
        return registered

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self._by_name)


def _is_fields(fields: Any) -> bool:
    return type(fields) is dict and all(type(key) is str and key != "$t" for key in fields)
