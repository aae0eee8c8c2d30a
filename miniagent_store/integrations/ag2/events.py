"""Events as they are stored: AG2's own wire format, read back with classes of a list only.

AG2's own reader imports and calls whatever class the data names. And it takes any mapping for an event, a
dataclass or bytes that has such a key, be it the answer of a tool; here such mappings are written as pairs.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any
from uuid import UUID

from miniagent_store import DecodeError, EncodeError, Entry
from miniagent_store.integrations.lacking import requires

with requires("ag2", extra="ag2"):
    from ag2.events import BaseEvent
    from pydantic import BaseModel

_EVENT, _DATACLASS, _PYDANTIC, _ENUM = "__event__", "__dataclass__", "__pydantic__", "__enum__"
_BYTES, _UUID, _EXCEPTION, _PAIRS = "__bytes__", "__uuid__", "__exception__", "__pairs__"
_MARKS = frozenset({_EVENT, _DATACLASS, _PYDANTIC, _ENUM, _BYTES, _UUID, _EXCEPTION, _PAIRS})


class Events:
    """Writes events as mappings and reads them back.

    Args:
        types: classes of events, dataclasses, enums and pydantic models that may be written and read,
            besides those of AG2's events.
    """

    def __init__(self, types: Iterable[type] = ()) -> None:
        self._types = {_name(each): each for each in types}

    # Writing

    def encode(self, event: BaseEvent) -> dict[str, Any]:
        """What is stored of an event.

        Raises:
            EncodeError: it holds something of a class that could not be read back.
        """
        encoded: dict[str, Any] = self._encode(event)
        return encoded

    def _encode(self, value: Any) -> Any:
        if value is None or (isinstance(value, str | int | float) and not isinstance(value, Enum)):
            return value
        if isinstance(value, BaseEvent):
            # Names with an underscore are what AG2 works out again.
            shown = {key: self._encode(each) for key, each in vars(value).items() if key[0] != "_"}
            return {_EVENT: self._listed(value), **shown}
        if isinstance(value, dict):
            if all(isinstance(key, str) for key in value) and _MARKS.isdisjoint(value):
                return {key: self._encode(each) for key, each in value.items()}
            return {_PAIRS: [[self._encode(key), self._encode(each)] for key, each in value.items()]}
        if isinstance(value, list | tuple):
            return [self._encode(each) for each in value]
        if isinstance(value, Enum):
            return {_ENUM: self._listed(value), "value": self._encode(value.value)}
        if isinstance(value, bytes | bytearray):
            return {_BYTES: base64.b64encode(value).decode()}
        if isinstance(value, UUID):
            return {_UUID: str(value)}
        if isinstance(value, Exception):
            return {_EXCEPTION: type(value).__name__, "message": str(value)}
        if is_dataclass(value) and not isinstance(value, type):
            data = {each.name: self._encode(getattr(value, each.name)) for each in fields(value)}
            return {_DATACLASS: self._listed(value), "data": data}
        if isinstance(value, BaseModel):
            return {_PYDANTIC: self._listed(value), "data": self._encode(value.model_dump(mode="python"))}
        # The store's serializer carries it, or says that it cannot.
        return value

    def _listed(self, value: Any) -> str:
        name = _name(type(value))
        if self._find(name) is not type(value):
            raise EncodeError(
                "unsupported type",
                detail=f"the class {name!r} is none of AG2's events, and not in types=",
                context="an event",
            )
        return name

    # Reading

    def decode(self, entry: Entry) -> BaseEvent:
        """The event that was stored as an entry.

        Raises:
            DecodeError: it is none, or of a class that may not be read, or cannot be made as it is.
        """
        try:
            event = self._decode(dict(entry.value))
        except _UnreadableError as error:
            problem = str(error)
        except (TypeError, ValueError, KeyError, AttributeError, ImportError) as error:
            problem = f"this release of AG2 cannot read it ({type(error).__name__})"
        else:
            if isinstance(event, BaseEvent):
                return event
            problem = "it is none"
        # Not raised inside the handler: what was read would stand in the traceback.
        raise DecodeError("not an event of AG2", detail=problem, context=f"a history, event {entry.seq}")

    def _decode(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._decode(each) for each in value]
        if not isinstance(value, dict):
            return value
        if _EVENT in value:
            make = self._class(value[_EVENT], lambda cls: issubclass(cls, BaseEvent))
            return make(**{key: self._decode(each) for key, each in value.items() if key != _EVENT})
        if _PAIRS in value:
            return {self._decode(key): self._decode(each) for key, each in value[_PAIRS]}
        if _BYTES in value:
            return base64.b64decode(value[_BYTES])
        if _UUID in value:
            return UUID(value[_UUID])
        if _EXCEPTION in value:
            return Exception(value["message"])
        if _ENUM in value:
            return self._class(value[_ENUM], lambda cls: issubclass(cls, Enum))(
                self._decode(value["value"])
            )
        if _DATACLASS in value:
            return self._class(value[_DATACLASS], is_dataclass)(**self._decode(value["data"]))
        if _PYDANTIC in value:
            model = self._class(value[_PYDANTIC], lambda cls: issubclass(cls, BaseModel))
            return model.model_validate(self._decode(value["data"]))
        return {key: self._decode(each) for key, each in value.items()}

    # Classes

    def _class(self, name: str, fits: Callable[[type], bool]) -> Any:
        found = self._find(name)
        if found is None or not fits(found):
            raise _UnreadableError(f"the class {name!r} is none of AG2's events, and not in types=")
        return found

    def _find(self, name: str) -> type | None:
        if name not in self._types:
            found = _of_framework(name)
            if found is None:
                return None
            self._types[name] = found
        return self._types[name]


class _UnreadableError(Exception):
    pass


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _of_framework(name: str) -> type | None:
    """A class of AG2 by its full name: any of its events, else what stands in its modules of events."""
    path, _, last = name.rpartition(".")
    if not path.startswith("ag2.") or not last.isidentifier():
        return None
    try:
        found = getattr(importlib.import_module(path), last, None)
    except ImportError:
        return None
    if not isinstance(found, type) or _name(found) != name:
        return None
    carries = "events" in path.split(".") or path == "ag2.task"
    return found if issubclass(found, BaseEvent) or carries else None
