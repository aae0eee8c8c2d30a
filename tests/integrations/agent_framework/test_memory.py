"""What was said in one session is shown in another, of the same user only."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from agent_framework import Agent, AgentSession, BaseChatClient, ChatResponse, Message

from miniagent_store import EmbeddingError, open_store
from miniagent_store.integrations.agent_framework import MiniAgentHistoryProvider, MiniAgentMemoryProvider
from tests.integrations.conftest import Encrypted


class Client(BaseChatClient[Any]):
    """Keeps what it was shown last."""

    shown: str = ""

    def _inner_get_response(
        self, *, messages: Sequence[Message], stream: bool, options: Mapping[str, Any], **kwargs: Any
    ) -> Any:
        self.shown = "\n".join(each.text for each in messages)

        async def answer() -> ChatResponse:
            return ChatResponse(messages=[Message("assistant", ["Fine."])])

        return answer()


async def _shown(url: str, session_id: str, *said: str, user: str | None = "ada", **options: Any) -> str:
    """What a model is shown at the last of some runs."""
    client = Client()
    memory = MiniAgentMemoryProvider(url, lambda session: session.state.get("user_id"), **options)
    agent: Any = Agent(client, context_providers=[memory, MiniAgentHistoryProvider(url)])
    session = AgentSession(session_id=session_id)
    session.state["user_id"] = user
    for each in said:
        await agent.run(each, session=session)
    return client.shown


async def test_it_is_recalled_in_another_session(url: str) -> None:
    await _shown(url, "monday", "My dog is called Rex.", "Bye!")
    shown = await _shown(url, "friday", "What is my dog called?")
    assert "user: My dog is called Rex." in shown
    assert "assistant: Fine." in shown
    assert "Rex" not in await _shown(url, "other", "What is my dog called?", user="bob")
    assert "Rex" not in await _shown(url, "nobody's", "What is my dog called?", user=None)


async def test_its_own_session_is_left_to_the_history(url: str) -> None:
    shown = await _shown(url, "monday", "My dog is called Rex.", "What is my dog called?")
    assert shown.count("My dog is called Rex.") == 1


async def test_deleting_the_session_forgets_it(url: str) -> None:
    await _shown(url, "monday", "My dog is called Rex.")
    async with open_store(url) as store:
        assert await store.delete("agent-framework/monday")
    assert "Rex" not in await _shown(url, "friday", "What is my dog called?")


class Away:
    name: str = "away"
    dimensions: int | None = 2

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Any:
        raise EmbeddingError(self.name, "is away")


async def test_an_embedder_that_is_away_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "miniagent_store"):
        assert await _shown("memory://away", "monday", "Hello!", embedder=Away()) == "Hello!"
    assert "nothing was recalled" in caplog.text
    assert "a run was not remembered" in caplog.text


async def test_nothing_of_it_is_readable(encrypted: Encrypted) -> None:
    await _shown(encrypted.url, "monday", "The xylophone is mine.")
    assert "xylophone is mine" in await _shown(encrypted.url, "friday", "Whose is the xylophone?")
    encrypted.assert_absent(b"xylophone")
