"""What a careful person writes by hand: the floor that all else is compared with.

On Redis: ``orjson.dumps`` and one pipeline of RPUSH and EXPIRE, or LRANGE and ``orjson.loads``. On SQLite:
one transaction a turn in one thread, WAL, ``synchronous=FULL``. In memory: a dict of lists of bytes. None
of them knows versions, retries, locks, limits or listings.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import orjson

from miniagent_store.bench.figures import BY_HAND
from miniagent_store.bench.peers.base import MessageDict, Peer, Where
from miniagent_store.bench.redis_clients import CONNECTIONS, connect
from miniagent_store.url import StoreURL

TTL = 3600


class RedisByHand:
    """Lists of JSON.

    Args:
        start: what all keys start with.
    """

    name: ClassVar[str] = BY_HAND
    package: ClassVar[str] = "redis"
    where: ClassVar[Where] = "redis"

    def __init__(self, start: str = "by-hand:") -> None:
        self.start = start
        # More tasks than connections wait for one, as they would with any pool.
        self._free = asyncio.Semaphore(CONNECTIONS)
        self.client: Any = None

    async def open(self, url: str) -> None:
        self.client = connect(StoreURL.parse(url))
        await self.client.ping()

    async def append(self, session: str, messages: Sequence[MessageDict]) -> None:
        key = self.start + session
        async with self._free, self.client.pipeline(transaction=False) as pipe:
            pipe.rpush(key, *map(orjson.dumps, messages))
            pipe.expire(key, TTL)
            await pipe.execute()

    async def last(self, session: str, n: int) -> Sequence[Any]:
        async with self._free:
            found = await self.client.lrange(self.start + session, -n, -1)
        return [orjson.loads(each) for each in found]

    async def whole(self, session: str) -> Sequence[Any]:
        return await self.last(session, 0)

    async def clear(self, session: str) -> None:
        await self.client.unlink(self.start + session)

    async def close(self) -> None:
        if self.client is not None:
            await self.client.aclose()


class SqliteByHand:
    """A table of JSON."""

    name: ClassVar[str] = BY_HAND
    package: ClassVar[str] = ""
    where: ClassVar[Where] = "sqlite"

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "by-hand")
        self._file: sqlite3.Connection | None = None

    async def open(self, url: str) -> None:
        await self._do(self._open, StoreURL.parse(url).path[1:])

    async def append(self, session: str, messages: Sequence[MessageDict]) -> None:
        await self._do(self._append, session, [orjson.dumps(each) for each in messages])

    async def last(self, session: str, n: int) -> Sequence[Any]:
        found = await self._do(self._select, session, n)
        return [orjson.loads(each) for (each,) in reversed(found)]

    async def whole(self, session: str) -> Sequence[Any]:
        return await self.last(session, -1)

    async def clear(self, session: str) -> None:
        await self._do(self._delete, session)

    async def close(self) -> None:
        if self._file is not None:
            await self._do(self._file.close)
        self._thread.shutdown()

    async def _do(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _open(self, path: str) -> None:
        self._file = file = sqlite3.connect(path, isolation_level=None, timeout=30)
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = FULL")
        file.execute(
            "CREATE TABLE IF NOT EXISTS messages"
            " (session TEXT, number INTEGER, payload BLOB, PRIMARY KEY (session, number)) WITHOUT ROWID"
        )

    def _append(self, session: str, payloads: list[bytes]) -> None:
        assert self._file is not None
        self._file.execute("BEGIN IMMEDIATE")
        try:
            (most,) = self._file.execute(
                "SELECT coalesce(max(number), 0) FROM messages WHERE session = ?", (session,)
            ).fetchone()
            rows = [(session, most + at, payload) for at, payload in enumerate(payloads, 1)]
            self._file.executemany("INSERT INTO messages VALUES (?, ?, ?)", rows)
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")

    def _select(self, session: str, n: int) -> list[tuple[bytes]]:
        assert self._file is not None
        return self._file.execute(
            "SELECT payload FROM messages WHERE session = ? ORDER BY number DESC LIMIT ?", (session, n)
        ).fetchall()

    def _delete(self, session: str) -> None:
        assert self._file is not None
        self._file.execute("DELETE FROM messages WHERE session = ?", (session,))


class MemoryByHand:
    """A dict of lists of JSON."""

    name: ClassVar[str] = BY_HAND
    package: ClassVar[str] = ""
    where: ClassVar[Where] = "memory"

    def __init__(self) -> None:
        self._lists: dict[str, list[bytes]] = {}

    async def open(self, url: str) -> None:
        pass

    async def append(self, session: str, messages: Sequence[MessageDict]) -> None:
        self._lists.setdefault(session, []).extend(map(orjson.dumps, messages))

    async def last(self, session: str, n: int) -> Sequence[Any]:
        return [orjson.loads(each) for each in self._lists.get(session, [])[-n:]]

    async def whole(self, session: str) -> Sequence[Any]:
        return await self.last(session, 0)

    async def clear(self, session: str) -> None:
        self._lists.pop(session, None)

    async def close(self) -> None:
        self._lists.clear()


def by_hand(kind: str, start: str = "by-hand:") -> Peer | None:
    """The hand-written store of a kind of place; None where nobody has written one.

    Args:
        kind: of the place.
        start: on Redis, what all keys start with.
    """
    match kind:
        case "redis":
            return RedisByHand(start)
        case "sqlite":
            return SqliteByHand()
        case "memory":
            return MemoryByHand()
    return None
