"""What OpenTelemetry is told of a turn of chat, and what it is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from miniagent_store import (
    AgentConfig,
    BackendUnavailableError,
    Message,
    SessionNotFoundError,
    ToolCall,
    open_store,
)
from miniagent_store.agent.events import Event, EventType
from miniagent_store.agent.models import TokenUsage
from miniagent_store.session import SessionAgent, SessionManager
from miniagent_store.store.store import Store
from miniagent_store.testing.servers import Server
from tests.agent.miniagent_like import Agent as MiniAgentLike
from tests.agent.openai_server import openai_server
from tests.observing.telemetry import Telemetry

CANARIES = [f"c4nary-{what}" for what in ("question", "answer", "arguments", "result", "metadata", "user")]
TURN = [
    ("invoke_agent helper", None),
    ("turn.acquire sessions", "invoke_agent helper"),
    ("chat echo", "invoke_agent helper"),
    ("turn sessions", "invoke_agent helper"),
]


async def searching(messages: list[Message], config: AgentConfig) -> AsyncIterator[Any]:
    """Calls two tools at once, then answers; its secrets are canaries."""
    yield Message.assistant(
        None,
        tool_calls=[
            {"id": "c1", "function": {"name": "search", "arguments": '{"q": "c4nary-arguments"}'}},
            {"id": "c2", "function": {"name": "weather", "arguments": "{}"}},
        ],
    )
    yield Message.tool("sunny", tool_call_id="c2")
    yield Message.tool("c4nary-result", tool_call_id="c1")
    yield "c4nary-"
    yield "answer"
    yield TokenUsage(11, 3)


async def one_chat(
    place: str,
    telemetry: Telemetry,
    *,
    model: Any = "echo",
    said: str = "c4nary-question",
    tools: Any = None,
    **options: Any,
) -> str:
    """A turn of chat in a session of Ada's; the session's id."""
    content = options.pop("content", False)
    config = AgentConfig(name="helper")
    store = open_store(place, plugins=[telemetry.plugin(content=content)], **options)
    async with store, SessionAgent(config, tools, store=store, model=model) as agent:
        manager = SessionManager(agent)
        session_id = await agent.create_session("c4nary-user", {"note": "c4nary-metadata"})
        telemetry.clear()
        await manager.chat(session_id, said)
        return session_id


async def test_a_turn_of_chat_is_one_trace(place: str, telemetry: Telemetry) -> None:
    session_id = await one_chat(place, telemetry)

    assert telemetry.tree() == TURN
    assert len({span.context.trace_id for span in telemetry.spans if span.context}) == 1
    kinds = [span.kind for span in telemetry.spans]
    assert kinds == [SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.INTERNAL, SpanKind.CLIENT]
    assert all(span.status.status_code is StatusCode.UNSET for span in telemetry.spans)

    turn = dict(telemetry.span("turn sessions").attributes or {})
    system = place.partition(":")[0]
    if system == "redis":
        assert turn.pop("server.address") == "127.0.0.1"
        assert turn.pop("server.port") > 0
        assert turn.pop("miniagent.namespace")
    assert turn == {
        "db.system.name": system,
        "db.namespace": "sessions.db" if system == "sqlite" else "0",
        "db.operation.name": "turn",
        "db.collection.name": "sessions",
        "gen_ai.conversation.id": session_id,
        "miniagent.entries": 2,
    }
    agent = {
        "gen_ai.provider.name": "echo",
        "gen_ai.request.model": "echo",
        "gen_ai.agent.name": "helper",
        "gen_ai.conversation.id": session_id,
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 5,
    }
    assert telemetry.span("invoke_agent helper").attributes == {
        "gen_ai.operation.name": "invoke_agent",
        **agent,
    }
    chat = dict(telemetry.span("chat echo").attributes or {})
    assert 0 <= chat.pop("gen_ai.response.time_to_first_chunk") < 10
    assert chat == {"gen_ai.operation.name": "chat", **agent}


async def test_tools_are_spans_of_the_turn(place: str, telemetry: Telemetry) -> None:
    await one_chat(place, telemetry, model=searching)

    assert telemetry.tree() == [
        TURN[0],
        TURN[1],
        ("chat searching", "invoke_agent helper"),
        ("execute_tool search", "invoke_agent helper"),
        ("execute_tool weather", "invoke_agent helper"),
        TURN[3],
    ]
    search = telemetry.span("execute_tool search")
    assert search.attributes is not None
    assert search.attributes["gen_ai.tool.name"] == "search"
    assert search.attributes["gen_ai.tool.call.id"] == "c1"
    assert (search.end_time or 0) > (telemetry.span("execute_tool weather").end_time or 0)
    chat = telemetry.span("chat searching").attributes or {}
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (11, 3)


async def calling(messages: list[Message], config: AgentConfig, *, tools: Any) -> AsyncIterator[Any]:
    """Has the agent call two tools at once, then answers."""
    if messages[-1].role == "user":
        yield ToolCall("c1", "search", {"q": "c4nary-arguments"})
        yield ToolCall("c2", "weather")
        yield TokenUsage(5, 1)
    else:
        yield "c4nary-answer"
        yield TokenUsage(6, 2)


def search(q: str) -> str:
    return "c4nary-result"


async def weather() -> str:
    raise ValueError("c4nary-result")


async def test_tools_that_the_agent_runs_are_spans_between_two_chats(
    place: str, telemetry: Telemetry
) -> None:
    await one_chat(place, telemetry, model=calling, tools=[search, weather])

    assert telemetry.tree() == [
        TURN[0],
        TURN[1],
        ("chat calling", "invoke_agent helper"),
        ("execute_tool search", "invoke_agent helper"),
        ("execute_tool weather", "invoke_agent helper"),
        ("chat calling", "invoke_agent helper"),
        TURN[3],
    ]
    spans = {span.name: dict(span.attributes or {}) for span in telemetry.spans}
    assert spans["execute_tool search"]["gen_ai.tool.call.id"] == "c1"
    invocation = spans["invoke_agent helper"]
    assert invocation["gen_ai.usage.input_tokens"] == 11
    assert invocation["gen_ai.usage.output_tokens"] == 3
    assert [canary for canary in CANARIES if canary in telemetry.text()] == []


async def test_nothing_that_was_said_is_told(place: str, telemetry: Telemetry) -> None:
    await one_chat(place, telemetry, model=searching)

    told = telemetry.text()
    assert "execute_tool search" in told
    assert [canary for canary in CANARIES if canary in told] == []


async def test_what_was_said_is_told_to_those_who_ask_for_it(place: str, telemetry: Telemetry) -> None:
    await one_chat(place, telemetry, model=searching, content=True)

    chat = telemetry.span("chat searching").attributes or {}
    assert json.loads(str(chat["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": "c4nary-question"}]}
    ]
    called, _, result, answer = json.loads(str(chat["gen_ai.output.messages"]))
    assert called["parts"][0]["name"] == "search"
    assert result["parts"][0] == {"type": "tool_call_response", "id": "c1", "response": "c4nary-result"}
    assert answer["parts"] == [{"type": "text", "content": "c4nary-answer"}]
    search = telemetry.span("execute_tool search").attributes or {}
    assert search["gen_ai.tool.call.arguments"] == '{"q": "c4nary-arguments"}'
    assert search["gen_ai.tool.call.result"] == "c4nary-result"
    assert (telemetry.span("invoke_agent helper").attributes or {})["user.id"] == "c4nary-user"
    assert "c4nary-metadata" not in telemetry.text()


async def test_a_model_that_fails_leaves_its_class_and_no_words(place: str, telemetry: Telemetry) -> None:
    async def broken(messages: list[Message], config: AgentConfig) -> str:
        raise ValueError("c4nary-answer")

    with pytest.raises(ValueError, match="c4nary-answer"):
        await one_chat(place, telemetry, model=broken)

    assert telemetry.tree() == [*TURN[:2], ("chat broken", "invoke_agent helper")]
    for name in ("invoke_agent helper", "chat broken"):
        span = telemetry.span(name)
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["error.type"] == "ValueError"
        assert not span.events
    assert "c4nary-answer" not in telemetry.text()


async def test_tokens_of_an_endpoint_are_asked_for_and_told(
    place: str, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "k3y")
        await one_chat(place, telemetry, model="openai:tiny")

        assert server.requests[0][1]["stream_options"] == {"include_usage": True}
    chat = telemetry.span("chat tiny")
    assert chat.kind is SpanKind.CLIENT
    attributes = chat.attributes or {}
    assert attributes["gen_ai.provider.name"] == "openai"
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (7, 4)
    assert "k3y" not in telemetry.text()


async def test_an_agent_of_another_framework_is_a_span(place: str, telemetry: Telemetry) -> None:
    await one_chat(place, telemetry, model=MiniAgentLike)

    assert telemetry.tree()[0] == ("invoke_agent helper", None)
    assert ("read sessions", "invoke_agent helper") not in telemetry.tree()
    assert ("snapshot sessions", "invoke_agent helper") in telemetry.tree()


class Digger:
    """An agent of another kind, which tells of its tools by events."""

    def __init__(self, callbacks: Any) -> None:
        self._callbacks = callbacks

    async def run(self, user_input: str) -> str:
        asked = {"tool": "dig", "arguments": {"where": "c4nary-arguments"}}
        await self._callbacks.emit(Event(EventType.TOOL_CALL, asked))
        await self._callbacks.emit(Event(EventType.TOOL_RESULT, {"tool": "dig", "result": "c4nary-result"}))
        await self._callbacks.emit(Event(EventType.TOOL_CALL, {"tool": "endless"}))
        return "c4nary-answer"


async def test_tools_of_an_agent_of_another_framework_are_spans(place: str, telemetry: Telemetry) -> None:
    await one_chat(place, telemetry, model=Digger)

    tools = [span for span in telemetry.tree() if span[0].startswith("execute_tool")]
    assert tools == [
        ("execute_tool dig", "invoke_agent helper"),
        ("execute_tool endless", "invoke_agent helper"),
    ]
    assert [canary for canary in CANARIES if canary in telemetry.text()] == []


async def test_a_call_of_the_store_that_fails_tells_why_in_codes(place: str, telemetry: Telemetry) -> None:
    async with open_store(place, plugins=[telemetry.plugin()]) as store:
        with pytest.raises(SessionNotFoundError):
            await store.get("nobody")

    (span,) = telemetry.spans
    assert span.name == "get sessions"
    assert (span.attributes or {})["error.type"] == "SessionNotFoundError"
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None


async def test_retries_are_events_of_the_span(telemetry: Telemetry) -> None:
    with Server() as server:
        store = open_store(f"{server.url}/0", plugins=[telemetry.plugin()], deadline=1.5)
        async with store:
            session = await store.create()
            telemetry.clear()
            server.stop()
            with pytest.raises(BackendUnavailableError):
                await store.get(session.id)

    (span,) = telemetry.spans
    events = [event.name for event in span.events]
    assert events
    assert set(events) == {"retry"}
    assert (span.attributes or {})["miniagent.retries"] == len(events)
    assert sum(point.value for point in telemetry.points("miniagent.store.retries")) == len(events)


async def test_spans_of_the_caller_are_the_parents(place: str, telemetry: Telemetry) -> None:
    tracer = telemetry.tracer_provider.get_tracer("test")
    async with open_store(place, plugins=[telemetry.plugin()]) as store:
        session = await store.create()
        telemetry.clear()

        async def one(number: int) -> None:
            with tracer.start_as_current_span(f"caller {number}"):
                await store.append(session.id, Message.user("hello"))

        await asyncio.gather(*map(one, range(5)))

    appended = [(name, parent) for name, parent in telemetry.tree() if name == "append sessions"]
    assert sorted(str(parent) for _, parent in appended) == [f"caller {number}" for number in range(5)]


async def test_what_a_pop_reads_and_commits_is_one_operation(place: str, telemetry: Telemetry) -> None:
    async with open_store(place, plugins=[telemetry.plugin()]) as store:
        session = await store.create()
        await store.append(session.id, Message.user("hello"))
        telemetry.clear()
        await store.pop(session.id)
        await store.delete(session.id)

    assert telemetry.tree() == [("pop sessions", None), ("delete sessions", None)]


async def test_keys_and_users_of_collections_are_not_told(place: str, telemetry: Telemetry) -> None:
    async with open_store(place, plugins=[telemetry.plugin()], analytics=True) as store:
        await store.user("c4nary-user").set("c4nary-answer", 1)
        await store.user("c4nary-user").get("c4nary-answer")
        await store.cache.set("c4nary-question", 1)
        await store.rate_limit("c4nary-user", 5, 1)
        async with store.lock("c4nary-user"):
            pass
        session = await store.create(user_id="c4nary-user")
        await store.append(session.id, Message.user("c4nary-question"))
        await store.usage("c4nary-user")
        assert isinstance(store, Store)

    told = telemetry.text()
    assert "cache.set cache" in told
    assert [canary for canary in CANARIES if canary in told] == []


async def test_durations_are_measured(place: str, telemetry: Telemetry) -> None:
    await one_chat(place, telemetry)

    by_operation = {
        point.attributes["db.operation.name"]: point
        for point in telemetry.points("db.client.operation.duration")
    }
    assert set(by_operation) == {"create", "turn.acquire", "turn"}
    assert by_operation["turn"].count == 1
    assert by_operation["turn"].explicit_bounds == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
    (chat,) = telemetry.points("gen_ai.client.operation.duration")
    assert chat.attributes["gen_ai.request.model"] == "echo"
    assert len(telemetry.points("gen_ai.invoke_agent.duration")) == 1
    tokens = {
        point.attributes["gen_ai.token.type"]: point.sum
        for point in telemetry.points("gen_ai.client.token.usage")
    }
    assert tokens == {"input": 1, "output": 5}
