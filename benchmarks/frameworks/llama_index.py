"""LlamaIndex: what `FunctionAgent` asks of its chat store in a turn with one call of a tool."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
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
ACTIVE = 10


def contestants(places: Places) -> list[Contestant]:
    """Ours, and those of LlamaIndex that are installed."""
    host, port = places.redis_address
    database = f"sqlite+aiosqlite:///{places.folder}/theirs.db"
    stores: dict[str, Callable[[], AsyncDBChatStore]] = {
        "ours, SQLite": lambda: MiniAgentChatStore(places.sqlite),
        "ours, Redis": lambda: MiniAgentChatStore(places.redis),
        "SQLAlchemyChatStore, SQLite": lambda: SQLAlchemyChatStore(
            table_name="t", async_database_uri=database
        ),
    }
    found = [Contestant(name, _of_memory(make, active=ACTIVE)) for name, make in stores.items()]
    found += [Contestant(f"{name}; all active", _of_memory(make)) for name, make in stores.items()]
    try:
        from llama_index.storage.chat_store.redis import RedisChatStore
    except ImportError:
        return found
    make_legacy = partial(RedisChatStore, redis_url=f"redis://{host}:{port}/1")
    return [*found, Contestant("RedisChatStore; all active", _of_buffer(make_legacy))]


def _of_memory(make: Callable[[], AsyncDBChatStore], active: int | None = None) -> Any:
    """A turn over `Memory`: 2 writes and 5 reads.

    Args:
        make: the store.
        active: how many messages Memory has not archived, since they are within its limit of tokens.
    """

    @asynccontextmanager
    async def prepare(history: int) -> AsyncIterator[Turn]:
        store, key = make(), uuid.uuid4().hex
        for begin in range(0, history, CHUNK):
            await store.add_messages(key, _history(min(CHUNK, history - begin)))
        if active is not None:
            await store.archive_oldest_messages(key, history - active)

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


def _of_buffer(make: Callable[[], Any]) -> Any:
    """A turn over `ChatMemoryBuffer`, which the older kind of store needs: 4 writes and 3 reads."""

    @asynccontextmanager
    async def prepare(history: int) -> AsyncIterator[Turn]:
        store, key = make(), uuid.uuid4().hex
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
