"""What may answer for an agent, and the one shape that each is brought to."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from miniagent_store.agent.config import AgentConfig
from miniagent_store.agent.events import Event
from miniagent_store.agent.observing import TurnObserver
from miniagent_store.agent.prompting import Prompting
from miniagent_store.agent.session_thread import SessionThread
from miniagent_store.agent.thread_changes import ThreadChanges
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Message, Session


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """How many tokens an answer took, as its model tells it; kept in the answer's metadata."""

    input_tokens: int
    output_tokens: int

    def to_dict(self) -> dict[str, int]:
        """As it stands in a message's ``metadata["usage"]``."""
        return {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}


ModelAnswer = str | Mapping[str, Any] | AsyncIterable[Any]


class ChatModel(Protocol):
    """Answers a conversation: ``async def model(messages, config) -> str``, or an async generator.

    It is given the messages so far, the user's last, and the agent's config. It returns a text, a
    message, or an async iterator of chunks: texts are pieces of the answer; a `ToolCall` has a tool called;
    a whole `Message` (or mapping with a role) is stored in its place between them; an `Event` is stored in
    the log of events; a `TokenUsage` is added to the answer's metadata.

    The agent runs the tools that it calls, by a `ToolCall` or in a message's ``tool_calls``, and calls it
    again with their results. A model that yields the results too has run them itself.

    What it takes by name besides is given to it: ``tools`` (a list of `Tool`, or of mappings),
    ``tool_choice`` ("auto", or "none" when it has to answer now), ``stream`` (whether anybody listens to
    the pieces), ``session`` (the record), ``usage`` (whether anybody counts tokens, so that it should tell
    them).
    """

    def __call__(
        self, messages: list[Message], config: AgentConfig, /
    ) -> ModelAnswer | Awaitable[ModelAnswer]: ...


@runtime_checkable
class ClosableModel(Protocol):
    """A model that holds connections; closed with the agent if the agent made it."""

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One question to a model.

    Attributes:
        session: the record.
        user_input: what the user said.
        context: more to know for this answer only; not stored.
        prompting: what the model is shown.
        config: the agent's.
        store: where the session is.
        stream: whether anybody listens to the pieces.
        deliver: to be called with each piece of the answer.
        emit: to be called with each event.
        read_thread: reads the session with its events and the thread's metadata.
        observer: to be told of calls of models and tools.
        check: raises once the turn is lost, so that nothing more is done for what cannot be stored.
    """

    session: Session
    user_input: str
    context: str | None
    prompting: Prompting
    config: AgentConfig
    store: SessionStore
    stream: bool
    deliver: Callable[[str], Awaitable[None]]
    emit: Callable[[Event], Awaitable[None]]
    read_thread: Callable[[], Awaitable[SessionThread]]
    observer: TurnObserver
    check: Callable[[], None]


class Responder(Protocol):
    """A model in the one shape that `SessionAgent` works with.

    `respond` gives the answer, and all that is to be stored of it, the user's message included; `aclose`
    lets go of what it holds.

    Attributes:
        name: shown in events.
        reads_thread: whether it reads the session by `ModelRequest.read_thread`, and needs no history.
        schemas: what its model is told of tools.
    """

    name: str
    reads_thread: bool
    schemas: Sequence[Mapping[str, Any]]

    async def respond(self, request: ModelRequest) -> tuple[str, ThreadChanges]: ...

    async def aclose(self) -> None: ...
