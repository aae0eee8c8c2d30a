"""OpenAI Agents SDK: its sessions on Redis and on SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar

from miniagent_store.bench.peers.base import MessageDict, Where
from miniagent_store.bench.peers.places import TTL, aiosqlite_url, sqlite_path


class _Sessions:
    """One session object a conversation, kept, over what they share."""

    package: ClassVar[str] = "openai-agents redis sqlalchemy aiosqlite"

    def __init__(self) -> None:
        self._sessions: dict[str, Any] = {}

    def _new(self, session: str) -> Any:
        raise NotImplementedError

    def _session(self, session: str) -> Any:
        found = self._sessions.get(session)
        if found is None:
            found = self._sessions[session] = self._new(session)
        return found

    async def append(self, session: str, messages: Sequence[MessageDict]) -> None:
        await self._session(session).add_items([dict(message) for message in messages])

    async def last(self, session: str, n: int) -> Sequence[Any]:
        items: Sequence[Any] = await self._session(session).get_items(limit=n)
        return items

    async def whole(self, session: str) -> Sequence[Any]:
        items: Sequence[Any] = await self._session(session).get_items()
        return items

    async def clear(self, session: str) -> None:
        await self._session(session).clear_session()


class OpenAIRedis(_Sessions):
    name: ClassVar[str] = "OpenAI Agents RedisSession"
    where: ClassVar[Where] = "redis"

    async def open(self, url: str) -> None:
        self._class = import_module("agents.extensions.memory").RedisSession
        self._client = import_module("redis.asyncio").Redis.from_url(url)

    def _new(self, session: str) -> Any:
        return self._class(session, redis_client=self._client, ttl=TTL)

    async def close(self) -> None:
        await self._client.aclose()


class OpenAISQLite(_Sessions):
    """Each of its sessions and threads has a connection of its own."""

    name: ClassVar[str] = "OpenAI Agents SQLiteSession"
    where: ClassVar[Where] = "sqlite"

    async def open(self, url: str) -> None:
        self._class = import_module("agents").SQLiteSession
        self._path = sqlite_path(url)

    def _new(self, session: str) -> Any:
        return self._class(session, self._path)

    async def close(self) -> None:
        for session in self._sessions.values():
            session.close()


class OpenAISQLAlchemy(_Sessions):
    name: ClassVar[str] = "OpenAI Agents SQLAlchemySession"
    where: ClassVar[Where] = "sqlite"

    async def open(self, url: str) -> None:
        self._class = import_module("agents.extensions.memory").SQLAlchemySession
        self._engine = import_module("sqlalchemy.ext.asyncio").create_async_engine(aiosqlite_url(url))
        # Its tables are made by the first call of a session that may make them.
        await self._class("schema", engine=self._engine, create_tables=True).get_items(limit=1)

    def _new(self, session: str) -> Any:
        return self._class(session, engine=self._engine)

    async def close(self) -> None:
        await self._engine.dispose()
