"""pydantic-ai: loading a conversation and saving what a turn with one call of a tool has added."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationStore, InMemoryConversationStore
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)

from benchmarks.frameworks.contestant import Contestant, Places, Turn
from miniagent_store import open_store
from miniagent_store.integrations.pydantic_ai import MiniAgentConversationStore

PACKAGE = "pydantic-ai-slim"


def one_turn() -> list[ModelMessage]:
    return [
        ModelRequest.user_text_prompt("How is the weather in Paris? " * 4),
        ModelResponse([ToolCallPart("weather", {"city": "Paris"}, "call")]),
        ModelRequest([ToolReturnPart("weather", "sunny, 21 degrees, a light wind", "call")]),
        ModelResponse([TextPart("It is sunny in Paris. " * 8)]),
    ]


def contestants(places: Places) -> list[Contestant]:
    @asynccontextmanager
    async def ours(history: int, url: str, limit: int | None = None) -> AsyncIterator[Turn]:
        async with open_store(url) as near:
            yield await turns_of(MiniAgentConversationStore(near), f"{history}-{limit}", history, limit)

    @asynccontextmanager
    async def theirs(history: int, limit: int | None = None) -> AsyncIterator[Turn]:
        yield await turns_of(InMemoryConversationStore(), "c", history, limit)

    return [
        Contestant("ours, SQLite", lambda history: ours(history, places.sqlite)),
        Contestant("ours, Redis", lambda history: ours(history, places.redis)),
        Contestant("InMemoryConversationStore", theirs),
        Contestant("ours, SQLite, limit=50", lambda history: ours(history, places.sqlite, 50)),
        Contestant("ours, Redis, limit=50", lambda history: ours(history, places.redis, 50)),
        Contestant("InMemoryConversationStore, limit=50", lambda history: theirs(history, 50)),
    ]


async def turns_of(store: ConversationStore, name: str, history: int, limit: int | None) -> Turn:
    """A conversation with that history, and the calls of one turn of it."""
    messages = [message for _ in range(history // 4 + 1) for message in one_turn()]
    await store.save(Conversation(conversation_id=name, messages=messages[:history]))

    async def turn() -> None:
        conversation = await store.load(name, limit=limit)
        assert conversation is not None
        conversation.messages.extend(one_turn())
        await store.save(conversation)

    return turn
