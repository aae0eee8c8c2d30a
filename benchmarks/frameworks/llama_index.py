"""LlamaIndex: what `FunctionAgent` asks of its chat store in a turn with one call of a tool."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

from benchmarks.frameworks.contestant import Contestant, Places, Turn
from miniagent_store.integrations.llama_index import MiniAgentChatStore

PACKAGE = "llama-index-core"
QUESTION = ChatMessage(role="user", content="How is the weather in Oslo, and do I need a coat today?")
ANSWER = [
    ChatMessage(
        role="assistant",
        blocks=[ToolCallBlock(tool_call_id="call-1", tool_name="weather", tool_kwargs={"city": "Oslo"})],
    ),
    ChatMessage(role="tool", content="snow", additional_kwargs={"tool_call_id": "call-1"}),
    ChatMessage(role="assistant", content="It snows in Oslo, so yes, take a warm coat."),
]
# By bulk, within what SQLite takes for one statement.
CHUNK = 1000


def contestants(places: Places) -> list[Contestant]:
    """Ours, and those of LlamaIndex that are installed."""
    host, port = places.redis_address
    database = f"sqlite+aiosqlite:///{places.folder}/theirs.db"
    found = [
        Contestant("ours, SQLite", _of_memory(lambda: MiniAgentChatStore(places.sqlite))),
        Contestant("ours, Redis", _of_memory(lambda: MiniAgentChatStore(places.redis))),
        Contestant(
            "SQLAlchemyChatStore, SQLite",
            _of_memory(lambda: SQLAlchemyChatStore(table_name="t", async_database_uri=database)),
        ),
    ]
    try:
        from llama_index.storage.chat_store.redis import RedisChatStore
    except ImportError:
        return found
    return [*found, Contestant("RedisChatStore", _of_buffer(RedisChatStore, f"redis://{host}:{port}/1"))]


def _of_memory(make: Callable[[], AsyncDBChatStore]) -> Any:
    """A turn over `Memory`: 2 writes and 5 reads."""

    @asynccontextmanager
    async def prepare(history: int) -> AsyncIterator[Turn]:
        store, key = make(), uuid.uuid4().hex
        for begin in range(0, history, CHUNK):
            await store.add_messages(key, _history(min(CHUNK, history - begin)))

        async def turn() -> None:
            await store.add_message(key, QUESTION)
            for _ in range(3):
                await store.get_messages(key)
            await store.add_messages(key, ANSWER)
            for _ in range(2):
                await store.get_messages(key)

        yield turn
        if isinstance(store, MiniAgentChatStore):
            await store.aclose()

    return prepare


def _of_buffer(make: Callable[..., Any], url: str) -> Any:
    """A turn over `ChatMemoryBuffer`, which the older kind of store needs: 4 writes and 3 reads."""

    @asynccontextmanager
    async def prepare(history: int) -> AsyncIterator[Turn]:
        store, key = make(redis_url=url), uuid.uuid4().hex
        await store.aset_messages(key, _history(history))

        async def turn() -> None:
            await store.async_add_message(key, QUESTION)
            await store.aget_messages(key)
            await store.aget_messages(key)
            for message in ANSWER:
                await store.async_add_message(key, message)
            await store.aget_messages(key)

        yield turn

    return prepare


def _history(length: int) -> list[ChatMessage]:
    messages = [QUESTION, *ANSWER]
    return [messages[number % len(messages)] for number in range(length)]
