"""LangChain: its chat message histories on Redis and on SQLite.

``langchain-redis`` is not among them: it needs a server with RediSearch and RedisJSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar

from miniagent_store.bench.peers.base import MessageDict, Where
from miniagent_store.bench.peers.places import TTL, aiosqlite_url


class _Histories:
    """One history object a conversation, kept; all are read as a whole."""

    def __init__(self) -> None:
        self._histories: dict[str, Any] = {}

    def _load(self) -> None:
        self._of_package = import_module("langchain_community.chat_message_histories")
        messages = import_module("langchain_core.messages")
        self._classes = {
            "system": messages.SystemMessage,
            "user": messages.HumanMessage,
            "assistant": messages.AIMessage,
        }

    def _new(self, session: str) -> Any:
        raise NotImplementedError

    def _history(self, session: str) -> Any:
        found = self._histories.get(session)
        if found is None:
            found = self._histories[session] = self._new(session)
        return found

    async def append(self, session: str, messages: Sequence[MessageDict]) -> None:
        await self._history(session).aadd_messages(
            [self._classes[message["role"]](message["content"]) for message in messages]
        )

    async def last(self, session: str, n: int) -> Sequence[Any]:
        return (await self.whole(session))[-n:]

    async def whole(self, session: str) -> Sequence[Any]:
        messages: Sequence[Any] = await self._history(session).aget_messages()
        return messages

    async def clear(self, session: str) -> None:
        await self._history(session).aclear()


class LangChainRedis(_Histories):
    """A blocking client, which its asynchronous calls use in threads."""

    name: ClassVar[str] = "LangChain RedisChatMessageHistory"
    package: ClassVar[str] = "langchain-community redis"
    where: ClassVar[Where] = "redis"

    async def open(self, url: str) -> None:
        self._load()
        self._url = url
        self._client: Any = None

    def _new(self, session: str) -> Any:
        history = self._of_package.RedisChatMessageHistory(session, url=self._url, ttl=TTL)
        # Each has a client with a pool of its own; one pool for all has fewer connections to open.
        if self._client is None:
            self._client = history.redis_client
        history.redis_client = self._client
        return history

    async def close(self) -> None:
        if self._client is not None:
            self._client.close()


class LangChainSQLite(_Histories):
    name: ClassVar[str] = "LangChain SQLChatMessageHistory"
    package: ClassVar[str] = "langchain-community aiosqlite"
    where: ClassVar[Where] = "sqlite"

    async def open(self, url: str) -> None:
        self._load()
        self._engine = import_module("sqlalchemy.ext.asyncio").create_async_engine(aiosqlite_url(url))
        # Its table is made by the first call; two at once would both make it.
        await self._new("none").aget_messages()

    def _new(self, session: str) -> Any:
        return self._of_package.SQLChatMessageHistory(session, connection=self._engine)

    async def close(self) -> None:
        await self._engine.dispose()
