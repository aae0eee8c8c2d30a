"""A conversation as one JSON text, read and written back as a whole at each turn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, ClassVar

from miniagent_store.bench.peers.base import MessageDict, Where
from miniagent_store.bench.peers.places import TTL


class WholeThread:
    """``session:<id>`` and ``thread:<id>``, both with a TTL; without the lock that nobody has to take."""

    name: ClassVar[str] = "whole thread as one JSON value"
    package: ClassVar[str] = "redis"
    where: ClassVar[Where] = "redis"

    async def open(self, url: str) -> None:
        self._client = import_module("redis.asyncio").Redis.from_url(url)

    async def append(self, session: str, messages: Sequence[MessageDict]) -> None:
        stored, thread = await self._client.mget(f"session:{session}", f"thread:{session}")
        now = datetime.now(UTC).isoformat()
        record = json.loads(stored) if stored else {"session_id": session, "created_at": now}
        history: list[MessageDict] = json.loads(thread) if thread else []
        history += messages
        record |= {"updated_at": now, "message_count": len(history)}
        async with self._client.pipeline() as pipe:
            pipe.set(f"session:{session}", json.dumps(record), ex=TTL)
            pipe.set(f"thread:{session}", json.dumps(history), ex=TTL)
            await pipe.execute()

    async def last(self, session: str, n: int) -> Sequence[Any]:
        return (await self.whole(session))[-n:]

    async def whole(self, session: str) -> Sequence[Any]:
        thread = await self._client.get(f"thread:{session}")
        messages: Sequence[Any] = json.loads(thread) if thread else []
        return messages

    async def clear(self, session: str) -> None:
        await self._client.delete(f"session:{session}", f"thread:{session}")

    async def close(self) -> None:
        await self._client.aclose()
