"""What an agent tells while it works, and to whom."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any, Protocol, Self

from miniagent_store.agent.annotations import class_in_hint
from miniagent_store.errors import InvalidArgumentError

logger: logging.Logger = logging.getLogger("miniagent_store")


class EventType(StrEnum):
    """Names of events, with the values that MiniAgent's own have."""

    SESSION_CREATED = "session_created"
    SESSION_RESUMED = "session_resumed"
    SESSION_ENDED = "session_ended"
    SESSION_ERROR = "session_error"
    CACHE_HIT = "cache_hit"
    CACHE_MISS = "cache_miss"
    LLM_CALL = "llm_call"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"
    STREAM_START = "stream_start"
    STREAM_CHUNK = "stream_chunk"
    STREAM_END = "stream_end"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        type: an `EventType`, or a name of another's.
        data: of a stream chunk the text; otherwise a dict.
        metadata: of events of a session, ``{"session_id": …}``.
        timestamp: an aware datetime.
    """

    type: str
    data: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def content(self) -> Any:
        """The same as `data`."""
        return self.data

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the time in ISO 8601."""
        return {
            "type": str(self.type),
            "data": self.data,
            "metadata": dict(self.metadata),
            "timestamp": self.timestamp.isoformat(),
        }


Handler = Callable[[Any], Any]


class Emitter(Protocol):
    """Whoever can be told of events."""

    async def emit(self, event: Any, /) -> None: ...


class Callbacks:
    """Calls functions for events; each takes the `Event` and may be async.

    A function that fails is logged and harms nobody.

    Example:
        >>> import asyncio
        >>> callbacks = Callbacks().on(EventType.STREAM_CHUNK, lambda event: print(event.data))
        >>> asyncio.run(callbacks.emit(Event(EventType.STREAM_CHUNK, "Hello")))
        Hello
    """

    def __init__(self) -> None:
        self._handlers: dict[str, list[Handler]] = {}
        self._any: list[Handler] = []

    def on(self, event: Any, handler: Handler) -> Self:
        """Call `handler` for events of this type: an `EventType`, another's enum member, or a text."""
        self._handlers.setdefault(event_name(event), []).append(handler)
        return self

    def on_any(self, handler: Handler) -> Self:
        """Call `handler` for all events."""
        self._any.append(handler)
        return self

    def off(self, event: Any, handler: Handler | None = None) -> Self:
        """Call `handler` no more for events of this type; all handlers if none is given."""
        name = event_name(event)
        kept = [each for each in self._handlers.pop(name, ()) if handler is not None and each != handler]
        if kept:
            self._handlers[name] = kept
        return self

    async def emit(self, event: Any, /) -> None:
        """Tell an event, ours or another's with a `type`, to all who asked for it."""
        for handler in (*self._handlers.get(event_name(event.type), ()), *self._any):
            try:
                told = handler(event)
                if inspect.isawaitable(told):
                    await told
            except Exception:
                logger.exception("a handler of the event %r failed", event_name(event.type))


def event_name(event: Any) -> str:
    """The name of an event's type, whoever's enum it is from."""
    return str(event.value if isinstance(event, Enum) else event)


def emitter_of(callbacks: Any) -> Emitter:
    """Whom to tell: our `Callbacks`, MiniAgent's, a function, or several functions.

    Raises:
        InvalidArgumentError: it is none of these.
    """
    if callbacks is None:
        return Callbacks()
    if isinstance(callbacks, Callbacks):
        return callbacks
    if callable(getattr(callbacks, "emit", None)):
        return ForeignCallbacks(callbacks)
    functions = [callbacks] if callable(callbacks) else callbacks
    told = Callbacks()
    for function in functions if isinstance(functions, Iterable) else [None]:
        if not callable(function):
            raise InvalidArgumentError(
                "callbacks are a Callbacks, an object with emit(), or functions, "
                f"not {type(callbacks).__name__}"
            )
        told.on_any(function)
    return told


class ForeignCallbacks:
    """Tells our events to an object such as MiniAgent's `StreamCallback`.

    Its handlers are filed under members of its own enum, so an event has to be made of its own classes.
    They are read from the annotations: ``emit(event: Event)`` and ``Event.type: EventType``.
    """

    def __init__(self, callbacks: Any) -> None:
        self._emit: Callable[[Any], Awaitable[None] | None] = callbacks.emit
        self._event_class = class_in_hint(callbacks.emit, "event")
        self._type_class = class_in_hint(self._event_class, "type") if self._event_class else None

    async def emit(self, event: Any, /) -> None:
        """Tell an event; one of a type that the object does not know could have no handler there."""
        translated = self._translate(event) if isinstance(event, Event) else event
        if translated is None:
            return
        try:
            told = self._emit(translated)
            if inspect.isawaitable(told):
                await told
        except Exception:
            logger.exception("a handler of the event %r failed", event_name(event.type))

    def _translate(self, event: Event) -> Any:
        if self._event_class is None or self._type_class is None or not issubclass(self._type_class, Enum):
            return event
        try:
            kind = self._type_class(str(event.type))
        except ValueError:
            return None
        return self._event_class(type=kind, data=event.data)
