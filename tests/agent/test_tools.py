"""Functions as tools: their schemas, their arguments, and how an agent runs them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal, TypedDict

import pytest

from miniagent_store import (
    AgentConfig,
    ConfigurationError,
    InvalidArgumentError,
    LockLostError,
    Message,
    SessionNotFoundError,
    SessionStore,
    Tool,
    ToolCall,
    ToolContext,
    ToolLoopError,
    tool,
)
from miniagent_store.agent.events import Callbacks
from miniagent_store.session import SessionAgent
from miniagent_store.store.leases import Lease


class Unit(Enum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


@dataclass
class Place:
    city: str
    country: str = "France"


class Options(TypedDict):
    fast: bool


class Calls:
    """A model that calls what it is told to, round by round, and then says what came of it."""

    def __init__(self, *rounds: Sequence[ToolCall]) -> None:
        self.rounds = rounds
        self.asked = 0

    async def __call__(
        self, messages: list[Message], config: AgentConfig, *, tools: list[Any]
    ) -> AsyncIterator[Any]:
        return self._answer(messages)

    async def _answer(self, messages: list[Message]) -> AsyncIterator[Any]:
        self.asked += 1
        since = len(messages) - 1 - [each.role for each in messages][::-1].index("user")
        done = sum(1 for each in messages[since:] if each.tool_calls)
        if done < len(self.rounds):
            for call in self.rounds[done]:
                yield call
        else:
            yield " | ".join(str(each.content) for each in messages[since:] if each.role == "tool")


async def ask(store: SessionStore, model: Any, *tools: Any, **config: Any) -> str:
    """The answer in a new session; the results of the tools."""
    async with SessionAgent(AgentConfig(**config), tools, store=store, model=model) as agent:
        session_id = await agent.create_session("ada")
        return await agent.run_session(session_id, "Hi")


# Schemas and arguments


def forecast(
    place: Place,
    days: Annotated[int, "how far ahead"],
    *,
    unit: Unit = Unit.CELSIUS,
    since: date | None = None,
    mode: Literal["short", "long"] = "short",
    names: list[str] | None = None,
    options: Options | None = None,
    share: float = 0.5,
) -> str:
    """The weather
    to come.

    Args:
        place: where it is,
            in short.
        unit (Unit): of the temperatures.

    Returns:
        What it will be.
    """
    return repr((place, days, unit, since, mode, names, options, share))


def test_hints_and_docstring_are_the_schema() -> None:
    made = tool(forecast)

    assert made.name == "forecast"
    assert made.description == "The weather\nto come."
    assert made.parameters["required"] == ["place", "days"]
    assert made.parameters["properties"] == {
        "place": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
            "description": "where it is, in short.",
        },
        "days": {"type": "integer", "description": "how far ahead"},
        "unit": {"enum": ["c", "f"], "description": "of the temperatures."},
        "since": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "default": None},
        "mode": {"enum": ["short", "long"], "default": "short"},
        "names": {
            "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}],
            "default": None,
        },
        "options": {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {"fast": {"type": "boolean"}},
                    "required": ["fast"],
                    "additionalProperties": False,
                },
                {"type": "null"},
            ],
            "default": None,
        },
        "share": {"type": "number", "default": 0.5},
    }


def test_json_becomes_what_the_function_takes() -> None:
    given = {
        "place": {"city": "Paris"},
        "days": 2.0,
        "unit": "f",
        "since": "2030-01-31",
        "names": ["a"],
        "options": {"fast": True},
        "share": 1,
    }

    taken = tool(forecast).arguments(given)

    assert taken == {
        "place": Place("Paris"),
        "days": 2,
        "unit": Unit.FAHRENHEIT,
        "since": date(2030, 1, 31),
        "names": ["a"],
        "options": {"fast": True},
        "share": 1.0,
    }
    assert type(taken["days"]) is int


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"days": 1}, "lacks place"),
        ({"place": {"city": "Paris"}, "days": 1, "hours": 2}, "must not have hours"),
        ({"place": {"city": "Paris"}, "days": "two"}, "days must be of type integer"),
        ({"place": {"city": "Paris"}, "days": True}, "days must be of type integer"),
        ({"place": {"town": "Paris"}, "days": 1}, "place lacks city"),
        ({"place": "Paris", "days": 1}, "place must be an object"),
        ({"place": {"city": "Paris"}, "days": 1, "unit": "k"}, "unit"),
        ({"place": {"city": "Paris"}, "days": 1, "since": "soon"}, "since"),
        ({"place": {"city": "Paris"}, "days": 1, "mode": "long "}, "mode must be one of"),
        ({"place": {"city": "Paris"}, "days": 1, "names": [1]}, r"names\[0\] must be of type string"),
    ],
)
def test_wrong_arguments_say_what_is_wanted(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem):
        tool(forecast).arguments(wrong)


def test_what_cannot_be_a_tool_is_refused_at_once() -> None:
    def everything(*words: str) -> None: ...
    def odd(at: complex) -> None: ...
    def ours(context: ToolContext) -> None: ...

    for wrong, problem in (
        (everything, "by name"),
        (odd, "has no JSON schema"),
        (Tool(forecast, name="odd"), "two tools are called 'odd'"),
        ("hammer", "not str"),
        (lambda: None, "give it name="),
    ):
        with pytest.raises(ConfigurationError, match=problem):
            SessionAgent(tools=[tool(parameters={})(odd), wrong], store="memory://", model=Calls())
    with pytest.raises(ConfigurationError, match="cannot be cacheable"):
        tool(cacheable=True)(ours)


# Running


async def test_all_calls_of_an_answer_run_at_once_and_stand_in_their_order(store: SessionStore) -> None:
    both = asyncio.Barrier(2)

    async def meet(name: str) -> str:
        await both.wait()
        return name

    model = Calls([ToolCall("1", "meet", {"name": "a"}), ToolCall("2", "meet", '{"name": "b"}')])

    assert await ask(store, model, meet) == "a | b"


async def test_a_function_that_is_not_async_runs_in_a_thread(store: SessionStore) -> None:
    def where() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert await ask(store, Calls([ToolCall("1", "where")]), where) == "false"


async def test_errors_are_told_to_the_model_which_goes_on(store: SessionStore) -> None:
    def broken(city: str) -> str:
        raise ValueError(f"no such city: {city}")

    async def slow() -> None:
        await asyncio.sleep(60)

    model = Calls(
        [
            ToolCall("1", "broken", {"city": "Atlantis"}),
            ToolCall("2", "broken", "{'city'"),
            ToolCall("3", "broken", "[1]"),
            ToolCall("4", "broken"),
            ToolCall("5", "slow"),
            ToolCall("6", "nothing"),
        ]
    )

    told = (await ask(store, model, broken, tool(timeout=0.05)(slow))).split(" | ")

    assert told[0] == "Error: ValueError: no such city: Atlantis"
    assert told[1].startswith("Error: InvalidArgumentError: the arguments are not JSON")
    assert told[2] == "Error: InvalidArgumentError: the arguments must be a JSON object"
    assert told[3] == "Error: InvalidArgumentError: the call lacks city"
    assert told[4] == "Error: TimeoutError: no result within 0.05 s"
    assert told[5] == "Error: UnknownTool: there is no tool 'nothing'; there are: broken, slow"
    (session,) = (await store.list()).items
    results = [each for each in await store.history(session.id) if each.role == "tool"]
    assert [each.metadata["error"] for each in results][::5] == ["ValueError", "UnknownTool"]


async def test_the_agents_time_limit_is_for_tools_without_their_own(store: SessionStore) -> None:
    def slow() -> str:
        time.sleep(0.3)
        return "done"

    assert await ask(store, Calls([ToolCall("1", "slow")]), slow, tool_timeout=0.05) == (
        "Error: TimeoutError: no result within 0.05 s"
    )
    assert (
        await ask(store, Calls([ToolCall("1", "slow")]), tool(timeout=9)(slow), tool_timeout=0.05) == "done"
    )


async def test_a_model_that_never_answers_leaves_nothing_and_runs_nothing_in_vain(
    store: SessionStore,
) -> None:
    ran: list[int] = []

    def again() -> None:
        ran.append(1)

    with pytest.raises(ToolLoopError, match="3 times"):
        await ask(store, Calls(*[[ToolCall("1", "again")]] * 9), again, max_iterations=3)

    assert len(ran) == 2
    (session,) = (await store.list()).items
    assert await store.history(session.id) == []


async def test_a_tool_may_know_the_session(store: SessionStore) -> None:
    async def note(text: str, context: ToolContext) -> str:
        await context.store.user(context.session.user_id or "").set("note", text)
        return context.call_id

    assert "context" not in tool(note).parameters["properties"]
    assert await ask(store, Calls([ToolCall("c7", "note", {"text": "milk"})]), note) == "c7"
    assert await store.user("ada").get("note") == "milk"


async def test_results_of_a_cacheable_tool_are_shared_by_instances_and_arguments(
    url: str, store: SessionStore
) -> None:
    looked_up: list[str] = []

    @tool(cacheable=True, ttl="1h")
    def population(city: str) -> dict[str, int]:
        looked_up.append(city)
        return {city: len(city)}

    def call(name: str, arguments: Any) -> ToolCall:
        return ToolCall(name, "population", arguments)

    told: list[tuple[str, Any]] = []
    callbacks = Callbacks().on_any(lambda event: told.append((str(event.type), event.data)))
    for model in (
        Calls(
            [ToolCall("1", "population", {"city": "Rome"}), ToolCall("2", "population", {"city": "Rome"})]
        ),
        Calls(
            [
                ToolCall("3", "population", '{"city":  "Rome"}'),
                ToolCall("4", "population", {"city": "Oslo"}),
            ]
        ),
    ):
        async with SessionAgent(tools=population, store=url, model=model, callbacks=callbacks) as agent:
            answer = await agent.run_session(await agent.create_session(), "Hi")

    assert answer == '{"Rome": 4} | {"Oslo": 4}'
    assert looked_up == ["Rome", "Oslo"]
    kinds = [kind for kind, _ in told if kind.startswith("cache")]
    assert sorted(kinds) == ["cache_hit", "cache_hit", "cache_miss", "cache_miss"]
    assert await store.cache.clear("tools") == 2


async def test_a_failure_of_a_cacheable_tool_is_not_kept(store: SessionStore) -> None:
    tries: list[int] = []

    @tool(cacheable=True)
    async def flaky() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("away")
        return "here"

    assert await ask(store, Calls([ToolCall("1", "flaky")], [ToolCall("2", "flaky")]), flaky) == (
        "Error: OSError: away | here"
    )


async def test_text_and_calls_that_come_together_are_one_message(store: SessionStore) -> None:
    async def model(messages: list[Message], config: AgentConfig, *, tools: Any) -> AsyncIterator[Any]:
        yield "Let me "
        yield "see."
        if messages[-1].role == "user":
            yield ToolCall("1", "clock")

    async with SessionAgent(tools=[tool(name="watch")(lambda: "noon")], store=store, model=model) as agent:
        session_id = await agent.create_session()
        await agent.run_session(session_id, "Hi")

    assert [
        (each.role, each.content, bool(each.tool_calls)) for each in await store.history(session_id)
    ] == [
        ("user", "Hi", False),
        ("assistant", "Let me see.", True),
        ("tool", "Error: UnknownTool: there is no tool 'clock'; there are: watch", False),
        ("assistant", "Let me see.", False),
    ]


async def test_calls_whose_results_were_redacted_are_not_shown(store: SessionStore) -> None:
    seen: list[list[str]] = []

    async def model(messages: list[Message], config: AgentConfig, *, tools: Any) -> AsyncIterator[Any]:
        seen.append([each.role for each in messages])
        if len(seen) == 1:
            yield ToolCall("1", "clock")
        else:
            yield "done"

    def clock() -> str:
        return "noon"

    async with SessionAgent(tools=[clock], store=store, model=model) as agent:
        session_id = await agent.create_session()
        await agent.run_session(session_id, "Hi")
        await store.redact(session_id, 3, reason="test")
        await agent.run_session(session_id, "Hi")

    assert seen[-1] == ["user", "assistant", "user"]


async def test_miniagents_tools_run_too(store: SessionStore) -> None:
    from tests.agent import miniagent_like

    registry = miniagent_like.ToolRegistry()
    registry.register(miniagent_like.Lookup())

    model = Calls([ToolCall("1", "lookup", {"word": "tea"}), ToolCall("2", "lookup", {"word": "x"})])
    async with SessionAgent(tools=registry, store=store, model=model) as agent:
        session_id = await agent.create_session()
        assert await agent.run_session(session_id, "Hi") == "3 letters | Error: ToolError: too short"


async def test_once_the_turn_is_lost_no_model_is_asked_any_more(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose() -> None:
        monkeypatch.setattr(Lease, "lost", True)

    model = Calls([ToolCall("1", "lose")], [ToolCall("2", "lose")])
    with pytest.raises(LockLostError):
        await ask(store, model, lose)

    assert model.asked == 1
    monkeypatch.undo()
    (session,) = (await store.list()).items
    assert await store.history(session.id) == []


async def test_a_session_that_a_tool_deletes_is_not_made_again(store: SessionStore) -> None:
    async def delete(context: ToolContext) -> None:
        await context.store.delete(context.session.id)

    with pytest.raises(SessionNotFoundError):
        await ask(store, Calls([ToolCall("1", "delete")]), delete)

    assert (await store.list()).items == []
