"""Tools, time-outs, retries and usage of ``openai:<model>``, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagent_store import AgentConfig, SessionStore, ToolLoopError
from miniagent_store.agent.events import Callbacks
from miniagent_store.session import SessionAgent
from tests.agent.openai_server import OpenAIServer, openai_server

openai = pytest.importorskip("openai")


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenAIServer]:
    async with openai_server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
        yield server


def weather(city: str, days: int = 1) -> str:
    """The weather of a city.

    Args:
        city: its name.
        days: how far ahead.
    """
    return f"sunny in {city} for {days}"


async def clock() -> dict[str, str]:
    """What time it is."""
    return {"time": "noon"}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_turn_with_tools_is_one_commit_in_its_order(
    server: OpenAIServer, store: SessionStore, stream: bool
) -> None:
    server.rounds = [
        [("weather", {"city": "Paris"}), ("clock", {})],
        [("weather", {"city": "Rome", "days": 3})],
    ]
    told: list[tuple[str, Any]] = []
    callbacks = Callbacks().on_any(lambda event: told.append((str(event.type), event.data)))
    tools = [weather, clock]
    async with SessionAgent(tools=tools, callbacks=callbacks, store=store, model="openai:tiny") as agent:
        session_id = await agent.create_session()
        version = (await store.get(session_id)).version

        assert await agent.run_session(session_id, "Hi", stream=stream) == "Hello, world!"

    assert (await store.get(session_id)).version == version + 1
    history = await store.history(session_id)
    assert [(each.role, each.content) for each in history] == [
        ("user", "Hi"),
        ("assistant", "Let me see."),
        ("tool", "sunny in Paris for 1"),
        ("tool", '{"time": "noon"}'),
        ("assistant", "Let me see."),
        ("tool", "sunny in Rome for 3"),
        ("assistant", "Hello, world!"),
    ]
    calls = [call["id"] for each in history for call in each.tool_calls or ()]
    assert calls == [each.tool_call_id for each in history if each.role == "tool"]
    assert [each.metadata.get("usage") for each in history if each.role == "assistant"] == [
        {"input_tokens": 7, "output_tokens": 4}
    ] * 3

    assert len(server.requests) == 3
    assert [each["function"]["name"] for each in server.requests[0][1]["tools"]] == ["weather", "clock"]
    assert server.requests[0][1]["tools"][0]["function"] == {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "its name."},
                "days": {"type": "integer", "description": "how far ahead.", "default": 1},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    }
    assert [each["role"] for each in server.requests[2][1]["messages"]] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
        "tool",
    ]
    kinds = [kind for kind, _ in told]
    assert (kinds.count("llm_call"), kinds.count("tool_call"), kinds.count("tool_result")) == (3, 3, 3)
    pieces = [data for kind, data in told if kind == "stream_chunk"]
    assert "".join(pieces) == ("Let me see." * 2 + "Hello, world!" if stream else "")


async def test_it_has_to_answer_in_the_last_iteration(server: OpenAIServer, store: SessionStore) -> None:
    server.rounds = [[("clock", {})] for _ in range(9)]
    async with SessionAgent(
        AgentConfig(max_iterations=3), [clock], store=store, model="openai:tiny"
    ) as agent:
        session_id = await agent.create_session()

        assert await agent.run_session(session_id, "Hi") == "Hello, world!"

    assert [body.get("tool_choice") for _, body in server.requests] == [None, None, "none"]

    async with SessionAgent(
        AgentConfig(max_iterations=1), [clock], store=store, model="openai:tiny"
    ) as agent:
        session_id = await agent.create_session()
        with pytest.raises(ToolLoopError, match="1 times"):
            await agent.run_session(session_id, "Hi")
    assert await store.history(session_id) == []


async def test_a_silent_endpoint_is_given_up(server: OpenAIServer, store: SessionStore) -> None:
    server.pause = asyncio.Event()
    config = AgentConfig(llm_timeout=0.2, retry_policy=0)
    async with SessionAgent(config, store=store, model="openai:tiny") as agent:
        session_id = await agent.create_session()

        with pytest.raises(Exception) as given_up:  # noqa: PT011
            await agent.run_session(session_id, "Hi", stream=True)

    # While it streams, old releases of the package let the time-out of their HTTP client through.
    assert "Timeout" in given_up.type.__name__

    server.pause.set()
    assert await store.history(session_id) == []


async def test_a_failing_endpoint_is_asked_again(server: OpenAIServer, store: SessionStore) -> None:
    server.failures = 1
    async with SessionAgent(AgentConfig(retry_policy=1), store=store, model="openai:tiny") as agent:
        session_id = await agent.create_session()
        assert await agent.run_session(session_id, "Hi") == "Hello, world!"

    assert len(server.requests) == 2
    assert len(await store.history(session_id)) == 2

    server.failures = 1
    async with SessionAgent(AgentConfig(retry_policy=0), store=store, model="openai:tiny") as agent:
        session_id = await agent.create_session()
        with pytest.raises(openai.InternalServerError):
            await agent.run_session(session_id, "Hi")
