"""An agent of another framework inside ours: an object with ``async run(user_input, thread=…)``."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import fields
from typing import Any

from miniagent_store.agent.annotations import accepted, class_in_hint
from miniagent_store.agent.config import AgentConfig
from miniagent_store.agent.events import Callbacks, Event, EventType, event_name
from miniagent_store.agent.messages import visible
from miniagent_store.agent.models import ModelRequest
from miniagent_store.agent.observing import turn_observer
from miniagent_store.agent.session_thread import SessionThread
from miniagent_store.agent.thread_changes import ThreadChanges
from miniagent_store.errors import ConfigurationError, InvalidArgumentError
from miniagent_store.values import Message

# Whose answer is under way, and where its pieces go: one agent object answers many sessions at once.
_listener: ContextVar[tuple[AgentResponder, Callable[[str], Awaitable[None]]] | None] = ContextVar(
    "listener", default=None
)


def is_agent(model: Any) -> bool:
    """Whether it is an agent's object or class: it has a method ``run``."""
    return callable(getattr(model, "run", None))


class AgentResponder:
    """Asks an agent that adds what is said to a thread itself.

    It is given a thread of the class that annotates its ``run(thread: …)``, filled with the session's
    messages, events and metadata; without such an annotation, a `SessionThread`. Whatever it adds to it
    is stored; what it takes away (MiniAgent's shortens the events) stays stored. The user's message and
    the answer are added where it has not done so.

    The pieces of a streamed answer, and what its tools do, are heard through its callbacks: those that it
    is made with, or of an object, its attribute ``callbacks`` if that has ``on_any``.

    Args:
        agent: an object, or a class, which is made with those of ``config``, ``tools`` and ``callbacks``
            that it takes.
        config: as it was given to `SessionAgent`.
        tools: for a class.
        tell: to be called with all its events.
        callbacks: who is told by `tell`; an object that tells them itself is not listened to.

    Raises:
        ConfigurationError: tools were given, and the agent cannot take them.
    """

    name: str
    reads_thread: bool

    def __init__(
        self,
        agent: Any,
        *,
        config: Any = None,
        tools: Any = None,
        tell: Callable[[Any], Awaitable[None]],
        callbacks: Any = None,
    ) -> None:
        self._tell, self._made_here = tell, inspect.isclass(agent)
        if inspect.isclass(agent):
            offered = {
                "config": _config_like(class_in_hint(agent.__init__, "config"), config),
                "tools": tools,
                "callbacks": Callbacks().on_any(self._hear),
            }
            taken = accepted(agent, {name: value for name, value in offered.items() if value is not None})
            agent, tools = agent(**taken), None if "tools" in taken else tools
        else:
            own: Any = getattr(agent, "callbacks", None)
            if own is not callbacks and hasattr(own, "on_any"):
                own.on_any(self._hear)
        self.name, self.reads_thread = type(agent).__name__, True
        self.schemas: Sequence[Mapping[str, Any]] = []
        if tools:
            raise ConfigurationError(
                f"tools= are not for {self.name}, which has its own; give them to it, "
                "or pass a class that is made with tools="
            )
        self._agent = agent
        self._thread_class = class_in_hint(agent.run, "thread")

    async def respond(self, request: ModelRequest) -> tuple[str, ThreadChanges]:
        """Run the agent on a thread of this session."""
        thread = await request.read_thread()
        prompting = request.prompting
        if prompting.window is None:
            thread.messages = [*prompting.recalled, *visible(thread.messages)]
        else:
            thread.messages = prompting.past(Message.user(request.user_input))
        given = self._thread_for(thread)
        before = list(given.messages), list(given.events), copy.deepcopy(given.metadata)
        heard: list[str] = []
        failures: list[Exception] = []

        async def listen(chunk: str) -> None:
            heard.append(chunk)
            try:
                await request.deliver(chunk)
            except Exception as error:
                failures.append(error)  # callbacks do not pass it on; see below
                raise

        offered = {"thread": given, "context": request.context, "stream": request.stream}
        # Its own default stands, unless somebody has said something else.
        if request.config.max_iterations != AgentConfig.max_iterations:
            offered["max_iterations"] = request.config.max_iterations
        token, observed = _listener.set((self, listen)), turn_observer.set(request.observer)
        try:
            answer = await self._agent.run(request.user_input, **accepted(self._agent.run, offered))
        finally:
            _listener.reset(token)
            turn_observer.reset(observed)
        if failures:
            raise failures[0]
        if not isinstance(answer, str):
            raise InvalidArgumentError(f"{self.name}.run() must return a text, not {type(answer).__name__}")
        if not heard:
            await request.deliver(answer)
        changes = ThreadChanges.between(
            given.messages,
            given.events,
            given.metadata,
            old_messages=before[0],
            old_events=before[1],
            old_metadata=before[2],
        )
        _complete(changes, request.user_input, answer)
        return answer, changes

    async def _hear(self, event: Any) -> None:
        """Pass on what the agent tells: of an object that others use too, only of its answers here."""
        owner, listen = _listener.get() or (None, None)
        if owner is not self and not self._made_here:
            return
        piece = getattr(event, "data", None)
        streamed = event_name(event.type) == EventType.STREAM_CHUNK
        if streamed and isinstance(piece, str) and owner is self and listen is not None:
            await listen(piece)
        else:
            _note_tool(event)
            await self._tell(event)

    async def aclose(self) -> None:
        """Nothing is held here; the agent is its owner's."""

    def _thread_for(self, thread: SessionThread) -> Any:
        """A thread as the agent knows it."""
        made = self._thread_class
        if made is None or issubclass(made, SessionThread) or not hasattr(made, "add_message"):
            return thread
        other: Any = made()
        message_class = class_in_hint(made.add_message, "message")
        event_class = class_in_hint(made.add_event, "event") if hasattr(made, "add_event") else None
        other.id, other.created_at = thread.session_id, thread.created_at
        other.messages = [_message_like(message_class, each) for each in thread.messages]
        other.events = [_event_like(event_class, each) for each in thread.events]
        other.metadata = dict(thread.metadata)
        return other


def _complete(changes: ThreadChanges, user_input: str, answer: str) -> None:
    """Add the question and the answer where the agent has not added them itself."""
    if not any(message.role == "user" for message in changes.messages):
        changes.messages.insert(0, Message.user(user_input))
    if not any(message.role == "assistant" and not message.tool_calls for message in changes.messages):
        changes.messages.append(Message.assistant(answer))


def _note_tool(event: Any) -> None:
    """Tell the turn's observer of a tool, where an agent's event speaks of one."""
    observer, data = turn_observer.get(), getattr(event, "data", None)
    if observer is None or not isinstance(data, Mapping):
        return
    kind = event_name(event.type)
    call_id = data.get("tool_call_id") or data.get("id")
    tool = data.get("tool") or data.get("tool_name") or data.get("name")
    if kind == EventType.TOOL_CALL:
        observer.tool_called(call_id, tool, data.get("arguments"))
    elif kind == EventType.TOOL_RESULT:
        observer.tool_answered(call_id, tool, data.get("result", data.get("content")))


def _config_like(made: type | None, config: Any) -> Any:
    """Our config as the agent's own class; another's as it is."""
    if made is None or not isinstance(config, AgentConfig) or issubclass(made, AgentConfig):
        return config
    given = {each.name: getattr(config, each.name) for each in fields(config)}
    return made(**accepted(made, {name: value for name, value in given.items() if value is not None}))


def _message_like(made: type | None, message: Message) -> Any:
    """A message of the agent's own class, with whatever of ours that takes."""
    if made is None or issubclass(made, Message):
        return message
    given = {
        "role": message.role,
        "content": "" if message.content is None else message.content,  # they take its length
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
        given: dict[str, Any] = {"type": kind(event.type), "data": event.data, "timestamp": event.timestamp}
    except ValueError:
        return event
    if event.metadata:
        given["metadata"] = dict(event.metadata)
    return made(**accepted(made, given))
