"""``openai:<model>`` against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from miniagent_store import AgentConfig, ConfigurationError, SessionStore
from miniagent_store.session import SessionAgent
from tests.agent.openai_server import OpenAIServer, openai_server

openai = pytest.importorskip("openai")


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenAIServer]:
    async with openai_server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
        yield server


async def test_it_is_asked_with_prompt_history_and_settings(
    server: OpenAIServer, store: SessionStore
) -> None:
    config = AgentConfig(
        system_prompt="Be brief.",
        provider="openai",
        model="tiny",
        temperature=0.5,
        max_tokens=9,
        api_key="mine",
        retry_policy=0,
    )
    async with SessionAgent(config, store=store) as agent:
        session_id = await agent.create_session()
        await agent.run_session(session_id, "Hi", stream=False)

        assert await agent.run_session(session_id, "Hi again", stream=False) == "Hello, world!"

    headers, body = server.requests[1]
    assert headers["authorization"] == "Bearer mine"
    assert body == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello, world!"},
            {"role": "user", "content": "Hi again"},
        ],
        "temperature": 0.5,
        "max_tokens": 9,
    }


async def test_it_streams(server: OpenAIServer, store: SessionStore) -> None:
    heard: list[str] = []
    async with SessionAgent(store=store, model="openai:tiny") as agent:
        session_id = await agent.create_session()

        assert await agent.run_session(session_id, "Hi", stream=heard.append) == "Hello, world!"

    assert heard == ["Hello", ", ", "world", "!"]
    assert server.requests[0][0]["authorization"] == "Bearer from-environment"
    assert [each.content for each in await store.history(session_id)] == ["Hi", "Hello, world!"]


async def test_half_an_answer_is_an_error_and_not_stored(server: OpenAIServer, store: SessionStore) -> None:
    server.cut = True
    async with SessionAgent(store=store, model="openai:tiny") as agent:
        session_id = await agent.create_session()

        with pytest.raises(ConnectionError, match="broke off"):
            await agent.run_session(session_id, "Hi", stream=True)

    assert await store.history(session_id) == []


async def test_a_cancelled_stream_lets_go_of_its_connection(
    server: OpenAIServer, store: SessionStore
) -> None:
    server.pause = asyncio.Event()
    heard = asyncio.Event()
    async with SessionAgent(store=store, model="openai:tiny") as agent:
        session_id = await agent.create_session()
        answer = asyncio.create_task(agent.run_session(session_id, "Hi", stream=lambda chunk: heard.set()))
        await heard.wait()

        answer.cancel()

        with pytest.raises(asyncio.CancelledError):
            await answer
        server.pause.set()
        assert await store.history(session_id) == []
        assert await agent.run_session(session_id, "Hi") == "Hello, world!"


async def test_its_errors_are_told_as_they_are(server: OpenAIServer, store: SessionStore) -> None:
    server.status = 401
    async with SessionAgent(store=store, model="openai:tiny") as agent:
        session_id = await agent.create_session()

        with pytest.raises(openai.AuthenticationError):
            await agent.run_session(session_id, "Hi")

    assert await store.history(session_id) == []


async def test_an_endpoint_of_ones_own_needs_no_key(
    server: OpenAIServer, store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    async with SessionAgent(store=store, model="openai:tiny") as agent:
        session_id = await agent.create_session()

        assert await agent.run_session(session_id, "Hi") == "Hello, world!"


async def test_without_a_key_it_says_what_to_do(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    async with SessionAgent(store=store, model="openai:tiny") as agent:
        session_id = await agent.create_session()

        with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
            await agent.run_session(session_id, "Hi")
