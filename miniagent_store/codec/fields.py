"""How objects of the usual kinds of classes become fields and return.

Fields are taken one level deep and their values go through the value model themselves, so that a nested
datetime, set or registered object keeps its exact type, and bytes do not depend on which packages are
installed. Only pydantic, whose models convert and validate as a whole, does it its own way.

No optional package is imported: a class is recognised by the marks that its package leaves on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import Enum
from typing import Any

from miniagent_store.errors import ConfigurationError

ToFields = Callable[[Any], dict[str, Any]]
FromFields = Callable[[dict[str, Any]], Any]


def conversion_for(cls: Any) -> tuple[ToFields, FromFields]:
    """Both ways for `cls`.

    Raises:
        ConfigurationError: its kind is unknown, or its fields cannot be restored.
    """
    if issubclass(cls, Enum):
        return _enum(cls)
    if hasattr(cls, "__pydantic_validator__") and hasattr(cls, "model_validate"):
        return _pydantic(cls)
    if hasattr(cls, "__struct_fields__"):  # msgspec
        return _plain_init(cls, {name: name for name in cls.__struct_fields__}, {})
    if hasattr(cls, "__attrs_attrs__"):
        return _attrs(cls)
    if dataclasses.is_dataclass(cls):
        return _dataclass(cls)
    if issubclass(cls, tuple) and (names := getattr(cls, "_fields", None)):
        return _plain_init(cls, {name: name for name in names}, {})
    raise ConfigurationError(
        f"{cls.__qualname__} is neither a dataclass, an attrs class, a msgspec struct, a pydantic model, "
        "an enum nor a namedtuple; pass to_fields= and from_fields="
    )


def _plain_init(
    cls: type, by_init: dict[str, str], set_after: dict[str, str]
) -> tuple[ToFields, FromFields]:
    """Through `__init__`, so that its checks and defaults for new fields apply.

    Args:
        cls: the class.
        by_init: attribute → parameter of `__init__`.
        set_after: attribute → itself, for attributes that `__init__` does not take.
    """
    parameters = {**by_init, **set_after}

    def to_fields(value: Any) -> dict[str, Any]:
        return {parameter: getattr(value, name) for name, parameter in parameters.items()}

    def from_fields(fields: dict[str, Any]) -> Any:
        rest = [(name, fields.pop(name)) for name in set_after if name in fields]
        value = cls(**fields)
        for name, item in rest:
            object.__setattr__(value, name, item)  # reaches frozen classes too
        return value

    return to_fields, from_fields


def _dataclass(cls: Any) -> tuple[ToFields, FromFields]:
    if any(
        field._field_type is dataclasses._FIELD_INITVAR  # type: ignore[attr-defined]
        for field in cls.__dataclass_fields__.values()
    ):
        raise ConfigurationError(
            f"{cls.__qualname__} has an InitVar, which objects do not keep; "
            "pass to_fields= and from_fields="
        )
    fields = dataclasses.fields(cls)
    return _plain_init(
        cls,
        {field.name: field.name for field in fields if field.init},
        {field.name: field.name for field in fields if not field.init},
    )


def _attrs(cls: Any) -> tuple[ToFields, FromFields]:
    attributes = cls.__attrs_attrs__
    return _plain_init(
        cls,
        # A private attribute `_x` is the parameter `x`, its alias.
        {attribute.name: attribute.alias for attribute in attributes if attribute.init},
        {attribute.name: attribute.name for attribute in attributes if not attribute.init},
    )


def _pydantic(cls: Any) -> tuple[ToFields, FromFields]:
    for name, field in cls.model_fields.items():
        if field.validation_alias != field.serialization_alias:
            raise ConfigurationError(
                f"{cls.__qualname__}.{name} is written under another alias than it is read by; "
                "pass to_fields= and from_fields="
            )

    def to_fields(value: Any) -> dict[str, Any]:
        fields: dict[str, Any] = value.model_dump(by_alias=True, round_trip=True)
        return fields

    return to_fields, cls.model_validate


def _enum(cls: type[Enum]) -> tuple[ToFields, FromFields]:
    def to_fields(value: Any) -> dict[str, Any]:
        return {"value": value.value}

    def from_fields(fields: dict[str, Any]) -> Any:
        return cls(fields["value"])

    return to_fields, from_fields
