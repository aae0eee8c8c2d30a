"""py-key-value: a conversation as one value, on Redis, on disk (SQLite beneath) and in memory."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from miniagent_store.bench.peers.base import MessageDict, Where
from miniagent_store.bench.peers.places import TTL, sqlite_path

_COLLECTION = "conversations"


class _Values:
    """Read, add, write back: values are whole, and nothing compares before it sets."""

    _store: Any

    async def append(self, session: str, messages: Sequence[MessageDict]) -> None:
        value = await self._store.get(session, collection=_COLLECTION) or {"messages": []}
        value["messages"] += [dict(message) for message in messages]
        await self._store.put(session, value, collection=_COLLECTION, ttl=TTL)

    async def last(self, session: str, n: int) -> Sequence[Any]:
        return (await self.whole(session))[-n:]

    async def whole(self, session: str) -> Sequence[Any]:
        value = await self._store.get(session, collection=_COLLECTION)
        messages: Sequence[Any] = value["messages"] if value else []
        return messages

    async def clear(self, session: str) -> None:
        await self._store.delete(session, collection=_COLLECTION)


class KeyValueRedis(_Values):
    name: ClassVar[str] = "py-key-value RedisStore"
    package: ClassVar[str] = "py-key-value-aio[redis] redis"
    where: ClassVar[Where] = "redis"

    async def open(self, url: str) -> None:
        self._client = import_module("redis.asyncio").Redis.from_url(url, decode_responses=True)
        self._store = import_module("key_value.aio.stores.redis").RedisStore(client=self._client)

    async def close(self) -> None:
        await self._client.aclose()


class KeyValueDisk(_Values):
    name: ClassVar[str] = "py-key-value DiskStore"
    package: ClassVar[str] = "py-key-value-aio[disk] diskcache"
    where: ClassVar[Where] = "sqlite"

    async def open(self, url: str) -> None:
        folder = Path(sqlite_path(url)).with_suffix(".values")
        self._store = import_module("key_value.aio.stores.disk").DiskStore(directory=folder)

    async def close(self) -> None:
        await self._store.close()


class KeyValueMemory(_Values):
    name: ClassVar[str] = "py-key-value MemoryStore"
    package: ClassVar[str] = "py-key-value-aio[memory] cachetools"
    where: ClassVar[Where] = "memory"

    async def open(self, url: str) -> None:
        self._store = import_module("key_value.aio.stores.memory").MemoryStore()

    async def close(self) -> None:
        pass
