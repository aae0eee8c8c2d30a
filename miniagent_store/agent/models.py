"""What may answer for an agent, and how each is brought to one shape."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from miniagent_store.agent.annotations import accepted
from miniagent_store.agent.config import AgentConfig
from miniagent_store.agent.events import Event, EventType
from miniagent_store.agent.messages import as_message, text_of, visible
from miniagent_store.agent.session_thread import SessionThread
from miniagent_store.agent.thread_changes import ThreadChanges
from miniagent_store.errors import ConfigurationError, InvalidArgumentError
from miniagent_store.plugins import Plugins, shared_plugins
from miniagent_store.values import Message, Session

Chunk = str | Mapping[str, Any] | Event
ModelAnswer = str | Mapping[str, Any] | AsyncIterator[Any]


class ChatModel(Protocol):
    """Answers a conversation: ``async def model(messages, config) -> str``, or an async generator.

    It is given the messages so far, the user's last, and the agent's config. It returns a text, a
    message, or an async iterator of chunks: texts are pieces of the answer; a whole `Message` (or
    mapping with a role), such as a call of a tool or its result, is stored in its place between them;
    an `Event` is stored in the log of events.

    What it takes by name besides is given to it: ``tools`` (the agent's), ``stream`` (whether anybody
    listens to the pieces), ``session`` (the record).
    """

    def __call__(
        self, messages: list[Message], config: AgentConfig, /
    ) -> ModelAnswer | Awaitable[ModelAnswer]:
        """Answer."""


@runtime_checkable
class ClosableModel(Protocol):
    """A model that holds connections; closed with the agent if the agent made it."""

    async def aclose(self) -> None:
        """Let go of them."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One question to a model.

    Attributes:
        session: the record.
        user_input: what the user said.
        context: more to know for this answer only; not stored.
        history: the messages before.
        config: the agent's.
        stream: whether anybody listens to the pieces.
        deliver: to be called with each piece of the answer.
        emit: to be called with each event.
        read_thread: reads the session with its events and the thread's metadata.
    """

    session: Session
    user_input: str
    context: str | None
    history: list[Message]
    config: AgentConfig
    stream: bool
    deliver: Callable[[str], Awaitable[None]]
    emit: Callable[[Event], Awaitable[None]]
    read_thread: Callable[[], Awaitable[SessionThread]]


class Responder(Protocol):
    """A model in the one shape that `SessionAgent` works with."""

    name: str

    async def respond(self, request: ModelRequest) -> tuple[str, ThreadChanges]:
        """The answer, and all that is to be stored of it, the user's message included."""

    async def aclose(self) -> None:
        """Let go of what it holds."""


class CallableResponder:
    """Asks a `ChatModel`.

    Args:
        model: the model.
        name: shown in events.
        tools: passed to a model that takes ``tools``.
        owned: whether to close it.

    Raises:
        ConfigurationError: there are tools, and the model cannot take them.
    """

    def __init__(self, model: ChatModel, *, name: str, tools: Any = None, owned: bool = False) -> None:
        if tools and not accepted(model, {"tools": tools}):
            raise ConfigurationError(
                f"the model {name!r} takes no tools; pass model= a function with a parameter 'tools', "
                "or an agent's class that is made with tools"
            )
        self.name = name
        self._model, self._tools, self._owned = model, tools, owned

    async def respond(self, request: ModelRequest) -> tuple[str, ThreadChanges]:
        """Call the model and collect what it says."""
        question = Message.user(request.user_input)
        prompt = _prompt(request, question)
        await request.emit(Event(EventType.LLM_CALL, {"model": self.name, "messages": len(prompt)}))
        more = {"tools": self._tools, "stream": request.stream, "session": request.session}
        model: Callable[..., Any] = self._model
        answer = model(prompt, request.config, **accepted(model, more))
        if inspect.isawaitable(answer):
            answer = await answer
        collected = _Collected(question)
        async with aclosing(_chunks(answer, self.name)) as chunks:
            async for chunk in chunks:
                await collected.add(chunk, request)
        return collected.finish()

    async def aclose(self) -> None:
        """Close the model if it was made for this agent and can be closed."""
        if self._owned and isinstance(self._model, ClosableModel):
            await self._model.aclose()


def _prompt(request: ModelRequest, question: Message) -> list[Message]:
    before = [text for text in (request.config.system_prompt, request.context) if text]
    return [*map(Message.system, before), *visible(request.history), question]


async def _chunks(answer: Any, name: str) -> AsyncIterator[Any]:
    if isinstance(answer, str | Mapping | Event):
        yield answer
    elif isinstance(answer, AsyncIterator):
        try:
            async for chunk in answer:
                yield chunk
        finally:
            # An iterator that is left early would go on in the garbage collector's time.
            if inspect.isasyncgen(answer):
                await answer.aclose()
    else:
        raise InvalidArgumentError(
            f"the model {name!r} must return a text, a message, or an async iterator of these, "
            f"not {type(answer).__name__}"
        )


class _Collected:
    """The messages of an answer as it comes in."""

    def __init__(self, question: Message) -> None:
        self._changes = ThreadChanges([question])
        self._pieces: list[str] = []
        self._tool_names: dict[Any, Any] = {}

    async def add(self, chunk: Any, request: ModelRequest) -> None:
        if isinstance(chunk, str):
            self._pieces.append(chunk)
            await request.deliver(chunk)
        elif isinstance(chunk, Event):
            self._changes.events.append(chunk)
            await request.emit(chunk)
        elif isinstance(chunk, Mapping):
            await self._add_message(as_message(chunk), request)
        else:
            raise InvalidArgumentError(
                f"a model's chunk is a text, a message or an Event, not {type(chunk).__name__}"
            )

    async def _add_message(self, message: Message, request: ModelRequest) -> None:
        self._flush()
        self._changes.messages.append(message)
        for call in message.tool_calls or ():
            function = call.get("function", call)
            self._tool_names[call.get("id")] = function.get("name")
            data = {"tool": function.get("name"), "arguments": function.get("arguments")}
            await request.emit(Event(EventType.TOOL_CALL, data))
        if message.role == "tool":
            tool = message.name or self._tool_names.get(message.tool_call_id)
            data = {"tool": tool, "tool_call_id": message.tool_call_id, "content": message.content}
            await request.emit(Event(EventType.TOOL_RESULT, data))
        elif message.role == "assistant" and (text := text_of(message.content)):
            await request.deliver(text)

    def _flush(self) -> None:
        if self._pieces:
            self._changes.messages.append(Message.assistant("".join(self._pieces)))
            self._pieces.clear()

    def finish(self) -> tuple[str, ThreadChanges]:
        self._flush()
        last = self._changes.messages[-1]
        if last.role != "assistant" or last.tool_calls:
            # A model that said nothing has answered all the same: with nothing.
            last = Message.assistant("")
            self._changes.messages.append(last)
        return text_of(last.content), self._changes


def model_name(model: Any, config: AgentConfig, plugins: Plugins) -> str:
    """The model string that a config means; see `AgentConfig.model`."""
    if isinstance(model, str):
        return model
    if config.model is None and config.provider is None:
        return "echo"
    served = {provider.name for provider in plugins.providers("model")}
    if config.provider is None:
        named = (config.model or "").partition(":")[0]
        return config.model or "" if named in served else f"openai:{config.model}"
    return config.provider if config.model is None else f"{config.provider}:{config.model}"


def served_model(name: str, *, tools: Any = None, plugins: Plugins | None = None) -> Responder:
    """The model that a plugin serves under a string such as "echo" or "openai:gpt-4o".

    Raises:
        ConfigurationError: no plugin serves it; names those that are. Or it takes no tools.
        MissingExtraError: a package that it needs is not installed.
    """
    kind, _, rest = name.partition(":")
    make: Callable[[str], ChatModel] = (plugins or shared_plugins()).load("model", kind)
    return CallableResponder(make(rest), name=name, tools=tools, owned=True)
