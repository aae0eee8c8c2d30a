"""One call of a store or an agent while it runs: what observers are shown."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """Where the operations of a store go; without secrets.

    Attributes:
        backend: its name, such as "redis".
        namespace: the store's, "" for none.
        server: host and port of the first server in the URL, "" where there is none.
        database: the number of the database, or the name of the file; "" where there is none.
    """

    backend: str
    namespace: str = ""
    server: str = ""
    database: str = ""


@dataclass(slots=True)
class Operation:
    """One call of a store, with all its retries.

    Attributes:
        name: the call's, such as "append", "history", "cache.get", "turn.acquire".
        session_id: the conversation; None where there is none.
        place: where it goes.
        started: of `time.perf_counter`.
        seconds: how long it took; None while it runs.
        entries: how many entries it appended or read, or sessions it listed; None if that says nothing.
        retries: how often it was tried again.
        hits, misses: of a look into the cache.
        error: what it failed with.
    """

    name: str
    session_id: str | None
    place: Place
    started: float = 0.0
    seconds: float | None = None
    entries: int | None = None
    retries: int = 0
    hits: int = 0
    misses: int = 0
    error: BaseException | None = field(default=None, repr=False)


@dataclass(slots=True)
class AgentOperation(Operation):
    """What an agent does in a turn: "invoke_agent", and in it "chat" and "execute_tool".

    What was said is here for those who ask for it, and in no repr.

    Attributes:
        agent: its name.
        provider, model: what answers.
        in_process: whether the model runs in this process.
        input_tokens, output_tokens: where the model tells.
        first_chunk: seconds until the first piece of the answer; None where nothing was streamed.
        tool, tool_call_id: of "execute_tool".
        user_id: whose session it is.
        asked: the messages given to the model; of a tool, its arguments.
        answered: the messages of the answer; of a tool, its result.
    """

    agent: str | None = None
    provider: str | None = None
    model: str | None = None
    in_process: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    first_chunk: float | None = None
    tool: str | None = None
    tool_call_id: str | None = None
    user_id: str | None = field(default=None, repr=False)
    asked: Sequence[Any] = field(default=(), repr=False)
    answered: Sequence[Any] = field(default=(), repr=False)


# The store's call under way in this task: calls that it makes itself are part of it.
current_operation: ContextVar[Operation | None] = ContextVar("current_operation", default=None)
