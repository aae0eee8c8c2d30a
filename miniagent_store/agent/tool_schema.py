"""From a function's type hints to the JSON schema of its arguments, and back from JSON to what it takes."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from miniagent_store.errors import ConfigurationError, InvalidArgumentError

_SIMPLE: dict[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
_LISTS = (list, tuple, set, frozenset, Sequence)
_AFTER_SUMMARY = re.compile(r"(?m)^(?:Args|Arguments|Parameters|Returns|Raises|Examples?|:\w+.*):")
_ARGUMENT = re.compile(r"^\s*(?::param )?\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.+)$")


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The type of each named parameter; `Any` where there is none.

    Raises:
        ConfigurationError: an annotation names what is not there, or a parameter has no name.
    """
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigurationError(
            f"the annotations of the tool {function.__name__!r} cannot be resolved: {error}"
        ) from None
    wanted: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ConfigurationError(
                f"the tool {function.__name__!r} takes {parameter}, which a model cannot give by name"
            )
        wanted[name] = hints.get(name, Any)
    return wanted


def schema_of(function: Callable[..., Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of an object with these arguments, described by the function's docstring."""
    described = descriptions(inspect.getdoc(function) or "")
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, hint in hints.items():
        properties[name] = schema(hint)
        if name in described:
            properties[name].setdefault("description", described[name])
        default = inspect.signature(function).parameters[name].default
        if default is inspect.Parameter.empty:
            required.append(name)
        elif default is None or isinstance(default, str | int | float):
            properties[name]["default"] = default.value if isinstance(default, Enum) else default
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def descriptions(docstring: str) -> dict[str, str]:
    """What a docstring says of arguments, as ``name: text`` under "Args:" or as ``:param name: text``."""
    found: dict[str, str] = {}
    name = ""
    within = False
    for line in docstring.splitlines():
        if re.match(r"^(Args|Arguments|Parameters):\s*$", line):
            within, name = True, ""
        elif match := _ARGUMENT.match(line) if within or line.lstrip().startswith(":param ") else None:
            name = match[1]
            found[name] = match[2].strip()
        elif line.strip() and not line[0].isspace():
            within, name = False, ""
        elif name and line.strip():
            found[name] += " " + line.strip()
    return found


def summary(docstring: str) -> str:
    """What a docstring says before it comes to the arguments."""
    return _AFTER_SUMMARY.split(docstring)[0].strip()


def schema(hint: Any) -> dict[str, Any]:
    """The JSON schema of a type.

    Raises:
        ConfigurationError: it has none; the tool must be given its schema.
    """
    origin, given = get_origin(hint), get_args(hint)
    if origin is Annotated:
        texts = [each for each in given[1:] if isinstance(each, str)]
        return {**schema(given[0]), **({"description": texts[0]} if texts else {})}
    if hint is Any or hint is inspect.Parameter.empty:
        return {}
    if hint is None or hint is type(None):
        return {"type": "null"}
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if origin is Literal:
        return {"enum": list(given)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema(each) for each in given]}
    if (origin or hint) in _LISTS:
        items = [each for each in given if each is not Ellipsis]
        return {"type": "array", **({"items": schema(items[0])} if len(items) == 1 else {})}
    if (origin or hint) in (dict, Mapping):
        return {"type": "object", **({"additionalProperties": schema(given[1])} if given else {})}
    if inspect.isclass(hint):
        made = _schema_of_class(hint)
        if made is not None:
            return made
    raise ConfigurationError(
        f"a tool's argument of type {hint!r} has no JSON schema here; give the tool parameters="
    )


def _schema_of_class(hint: type) -> dict[str, Any] | None:
    if issubclass(hint, Enum):
        return {"enum": [each.value for each in hint]}
    if issubclass(hint, datetime):
        return {"type": "string", "format": "date-time"}
    if issubclass(hint, date):
        return {"type": "string", "format": "date"}
    if is_typeddict(hint) or is_dataclass(hint):
        parts = get_type_hints(hint)
        return {
            "type": "object",
            "properties": {name: schema(each) for name, each in parts.items()},
            "required": _required(hint),
            "additionalProperties": False,
        }
    if callable(made := getattr(hint, "model_json_schema", None)):  # pydantic
        described: Any = made()
        return dict(described)
    return None


def _required(hint: Any) -> list[str]:
    if is_dataclass(hint):
        parts = fields(hint)
        return [each.name for each in parts if each.default is MISSING and each.default_factory is MISSING]
    return sorted(hint.__required_keys__)


def value(hint: Any, given: Any, where: str) -> Any:
    """What a function takes, from what a model gave.

    Args:
        hint: the type that it wants.
        given: the JSON value.
        where: the argument's name, for the error.

    Raises:
        InvalidArgumentError: it is another type; says what is wanted, for the model to try again.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return value(parts[0], given, where)
    if hint is Any:
        return given
    if hint in _SIMPLE:
        return _simple(hint, given, where)
    if origin in (Union, types.UnionType):
        return _one_of(parts, given, where)
    if origin is Literal and given not in parts:
        raise InvalidArgumentError(f"{where} must be one of {list(parts)}")
    if (origin or hint) in _LISTS:
        if not isinstance(given, list):
            raise InvalidArgumentError(f"{where} must be an array")
        items = [each for each in parts if each is not Ellipsis]
        if len(items) == 1:
            given = [value(items[0], each, f"{where}[{at}]") for at, each in enumerate(given)]
        made: Any = origin or hint
        return given if made in (list, Sequence) else made(given)
    if (origin or hint) in (dict, Mapping):
        if not isinstance(given, dict):
            raise InvalidArgumentError(f"{where} must be an object")
        if parts:
            given = {key: value(parts[1], each, f"{where}.{key}") for key, each in given.items()}
        return given
    if hint is None or hint is type(None):
        if given is not None:
            raise InvalidArgumentError(f"{where} must be null")
    elif inspect.isclass(hint):
        return _object(hint, given, where)
    return given


def _simple(hint: type, given: Any, where: str) -> Any:
    if hint is float and isinstance(given, int) and not isinstance(given, bool):
        return float(given)
    if hint is int and isinstance(given, float) and given.is_integer():
        return int(given)
    if not isinstance(given, hint) or (hint is int and isinstance(given, bool)):
        raise InvalidArgumentError(f"{where} must be of type {_SIMPLE[hint]}")
    return given


def _one_of(parts: tuple[Any, ...], given: Any, where: str) -> Any:
    if given is None and type(None) in parts:
        return None
    wanted = [each for each in parts if each is not type(None)]
    if len(wanted) == 1:
        return value(wanted[0], given, where)
    for hint in wanted:
        try:
            return value(hint, given, where)
        except InvalidArgumentError:
            continue
    raise InvalidArgumentError(f"{where} is of none of the types that it may be")


def _object(hint: Any, given: Any, where: str) -> Any:
    try:
        if issubclass(hint, Enum):
            return hint(given)
        if issubclass(hint, datetime | date):
            return hint.fromisoformat(given)
        if callable(make := getattr(hint, "model_validate", None)):
            return make(given)
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(f"{where}: {error}") from None
    if not (is_typeddict(hint) or is_dataclass(hint)):
        return given
    parts = get_type_hints(hint)
    if not isinstance(given, dict):
        raise InvalidArgumentError(f"{where} must be an object")
    check_names(given, parts, _required(hint), where)
    made: Any = dict if is_typeddict(hint) else hint
    return made(**{name: value(parts[name], each, f"{where}.{name}") for name, each in given.items()})


def check_names(
    given: Mapping[str, Any], known: Mapping[str, Any], required: Sequence[str], where: str
) -> None:
    """Refuse an object that lacks something, or has something that nobody knows.

    Raises:
        InvalidArgumentError: it does; says what.
    """
    if missing := [name for name in required if name not in given]:
        raise InvalidArgumentError(f"{where} lacks {', '.join(missing)}")
    if unknown := [name for name in given if name not in known]:
        raise InvalidArgumentError(f"{where} must not have {', '.join(unknown)}; it has {', '.join(known)}")
