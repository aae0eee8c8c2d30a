"""An agent of another framework inside ours: an object with ``async run(user_input, thread=…)``."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from miniagent_store.agent.annotations import accepted, class_in_hint
from miniagent_store.agent.events import Callbacks, Event, EventType, event_name
from miniagent_store.agent.messages import as_message, text_of
from miniagent_store.agent.models import ModelRequest
from miniagent_store.agent.session_thread import SessionThread
from miniagent_store.agent.thread_changes import ThreadChanges
from miniagent_store.errors import ConfigurationError, InvalidArgumentError
from miniagent_store.values import Message

# Where the pieces of the answer under way go: one agent object answers many sessions at once.
_listener: ContextVar[Callable[[str], Awaitable[None]] | None] = ContextVar("listener", default=None)


def is_agent(model: Any) -> bool:
    """Whether it is an agent's object or class: it has a method ``run``."""
    return callable(getattr(model, "run", None))


class AgentResponder:
    """Asks an agent that adds what is said to a thread itself.

    It is given a thread of the class that annotates its ``run(thread: …)``, filled with the session's
    messages, events and metadata; without such an annotation, a `SessionThread`. Whatever it adds to it
    is stored; what it takes away (MiniAgent's shortens the events) stays stored. The user's message and
    the answer are added where it has not done so.

    Args:
        agent: an object, or a class, which is made with those of ``config``, ``tools`` and ``callbacks``
            that it takes. Only then the pieces of a streamed answer can be heard: through `callbacks`.
        config: as it was given to `SessionAgent`.
        tools: for a class.
        tell: to be called with all events of an agent made from a class.

    Raises:
        ConfigurationError: tools were given, and the agent cannot take them.
    """

    def __init__(
        self, agent: Any, *, config: Any = None, tools: Any = None, tell: Callable[[Any], Awaitable[None]]
    ) -> None:
        if inspect.isclass(agent):
            offered = {"config": config, "tools": tools, "callbacks": _relay(tell)}
            taken = accepted(agent, {name: value for name, value in offered.items() if value is not None})
            missing = tools is not None and "tools" not in taken
            agent = agent(**taken)
        else:
            missing = tools is not None
        self.name = type(agent).__name__
        if missing:
            raise ConfigurationError(
                f"tools= are not for {self.name}, which has its own; give them to it, "
                "or pass a class that is made with tools="
            )
        self._agent = agent
        self._thread_class = class_in_hint(agent.run, "thread")

    async def respond(self, request: ModelRequest) -> tuple[str, ThreadChanges]:
        """Run the agent on a thread of this session."""
        thread = await request.read_thread()
        given = self._thread_for(thread)
        heard: list[str] = []

        async def listen(chunk: str) -> None:
            heard.append(chunk)
            await request.deliver(chunk)

        offered = {"thread": given, "context": request.context, "stream": request.stream}
        token = _listener.set(listen)
        try:
            answer = await self._agent.run(request.user_input, **accepted(self._agent.run, offered))
        finally:
            _listener.reset(token)
        if not isinstance(answer, str):
            raise InvalidArgumentError(
                f"{self.name}.run() must return a text, not {type(answer).__name__}"
            )
        if not heard:
            await request.deliver(answer)
        changes = _changes(thread, given)
        _complete(changes, request.user_input, answer)
        return answer, changes

    async def aclose(self) -> None:
        """Nothing is held here; the agent is its owner's."""

    def _thread_for(self, thread: SessionThread) -> Any:
        """A thread as the agent knows it."""
        made = self._thread_class
        if made is None or issubclass(made, SessionThread) or not hasattr(made, "add_message"):
            return thread
        other = made()
        message_class = class_in_hint(made.add_message, "message")
        event_class = class_in_hint(made.add_event, "event") if hasattr(made, "add_event") else None
        # The very objects are noted as what was there before; see `_changes`.
        thread.messages = [_message_like(message_class, each) for each in thread.messages]
        thread.events = [_event_like(event_class, each) for each in thread.events]
        other.id = thread.session_id
        other.messages, other.events = list(thread.messages), list(thread.events)
        other.metadata, other.created_at = dict(thread.metadata), thread.created_at
        return other


def _relay(tell: Callable[[Any], Awaitable[None]]) -> Callbacks:
    async def hear(event: Any) -> None:
        listener = _listener.get()
        piece = getattr(event, "data", None)
        streamed = event_name(event.type) == EventType.STREAM_CHUNK and isinstance(piece, str)
        if streamed and listener is not None:
            await listener(piece)
        else:
            await tell(event)

    return Callbacks().on_any(hear)


def _message_like(made: type | None, message: Message) -> Any:
    """A message of the agent's own class, with whatever of ours that takes."""
    if made is None or issubclass(made, Message):
        return message
    given = {
        "role": message.role,
        "content": message.content,
        "timestamp": message.time,
        "metadata": dict(message.metadata),
        "tool_calls": message.tool_calls,
        "tool_call_id": message.tool_call_id,
        "name": message.name,
    }
    return made(**accepted(made, {name: value for name, value in given.items() if value is not None}))


def _event_like(made: type | None, event: Any) -> Any:
    """An event of the agent's own class; as it is where it cannot be one."""
    kind = class_in_hint(made, "type") if made is not None else None
    if made is None or kind is None or not isinstance(event, Event):
        return event
    try:
        given = {"type": kind(event.type), "data": event.data, "timestamp": event.timestamp}
    except ValueError:
        return event
    if event.metadata:
        given["metadata"] = dict(event.metadata)
    return made(**accepted(made, given))
