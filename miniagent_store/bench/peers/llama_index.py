"""LlamaIndex: its chat stores on Redis and on SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar

from miniagent_store.bench.peers.base import MessageDict, Where
from miniagent_store.bench.peers.places import TTL, aiosqlite_url


class LlamaIndexRedis:
    """It adds messages one at a time and reads whole conversations only."""

    name: ClassVar[str] = "LlamaIndex RedisChatStore"
    package: ClassVar[str] = "llama-index-storage-chat-store-redis"
    where: ClassVar[Where] = "redis"

    async def open(self, url: str) -> None:
        self._message = import_module("llama_index.core.llms").ChatMessage
        self._client = import_module("redis.asyncio").Redis.from_url(url)
        chat_store = import_module("llama_index.storage.chat_store.redis").RedisChatStore
        self._store = chat_store(redis_url=url, aredis_client=self._client, ttl=TTL)

    async def append(self, session: str, messages: Sequence[MessageDict]) -> None:
        for message in messages:
            await self._store.async_add_message(session, self._message(**message))

    async def last(self, session: str, n: int) -> Sequence[Any]:
        return (await self.whole(session))[-n:]

    async def whole(self, session: str) -> Sequence[Any]:
        messages: Sequence[Any] = await self._store.aget_messages(session)
        return messages

    async def clear(self, session: str) -> None:
        await self._store.adelete_messages(session)

    async def close(self) -> None:
        await self._client.aclose()


class LlamaIndexSQLite:
    name: ClassVar[str] = "LlamaIndex SQLAlchemyChatStore"
    package: ClassVar[str] = "llama-index-core aiosqlite"
    where: ClassVar[Where] = "sqlite"

    async def open(self, url: str) -> None:
        self._message = import_module("llama_index.core.llms").ChatMessage
        self._engine = import_module("sqlalchemy.ext.asyncio").create_async_engine(aiosqlite_url(url))
        chat_store = import_module("llama_index.core.storage.chat_store.sql").SQLAlchemyChatStore
        self._store = chat_store(table_name="messages", async_engine=self._engine)
        # Its tables are made by the first call; two at once would both make them.
        await self._store.get_messages("none")

    async def append(self, session: str, messages: Sequence[MessageDict]) -> None:
        await self._store.add_messages(session, [self._message(**message) for message in messages])

    async def last(self, session: str, n: int) -> Sequence[Any]:
        # Its limit counts from the oldest.
        count = await self._store.count_messages(session)
        messages: Sequence[Any] = await self._store.get_messages(session, limit=n, offset=max(count - n, 0))
        return messages

    async def whole(self, session: str) -> Sequence[Any]:
        messages: Sequence[Any] = await self._store.get_messages(session)
        return messages

    async def clear(self, session: str) -> None:
        await self._store.delete_messages(session)

    async def close(self) -> None:
        await self._engine.dispose()
