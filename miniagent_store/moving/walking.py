"""All sessions of a store, each once, with little memory however many there are."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from miniagent_store.backend import Record
from miniagent_store.errors import InvalidArgumentError
from miniagent_store.keys.data_keys import CACHE_OWNER_KIND
from miniagent_store.store.core import StoreCore
from miniagent_store.values import to_ms

T = TypeVar("T")

# So many sessions at once hide the round trips of a server without crowding out others' commits.
AT_ONCE = 16
_PAGE = 400


@dataclass(frozen=True, slots=True)
class Filters:
    """Which sessions are meant; None and empty for all.

    Attributes:
        tags: all of them must be on the session.
        since_ms: active then or later.
    """

    user_id: str | None = None
    agent: str | None = None
    kind: str | None = None
    tags: tuple[str, ...] = ()
    since_ms: int | None = None

    @classmethod
    def of(
        cls,
        *,
        user_id: str | None = None,
        agent: str | None = None,
        kind: str | None = None,
        tags: Iterable[str] = (),
        since: datetime | None = None,
    ) -> Filters:
        if since is not None and since.tzinfo is None:
            raise InvalidArgumentError("since must be a time with its zone, such as 2030-01-31T00:00Z")
        return cls(user_id, agent, kind, tuple(tags), None if since is None else to_ms(since))

    def fits(self, record: Record) -> bool:
        return (
            self.user_id in {None, record.user_id}
            and self.agent in {None, record.agent}
            and self.kind in {None, record.kind}
            and set(self.tags) <= set(record.tags)
            and (self.since_ms is None or record.last_activity_ms >= self.since_ms)
        )

    def to_dict(self) -> Mapping[str, Any]:
        """Those that are given."""
        told = {
            "user": self.user_id,
            "agent": self.agent,
            "kind": self.kind,
            "tags": list(self.tags) or None,
            "since": self.since_ms,
        }
        return {name: value for name, value in told.items() if value is not None}


class Seen:
    """Ids that were met, on disk where they are many."""

    def __init__(self) -> None:
        # A nameless database is a temporary file that SQLite removes.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def add(self, session_id: str) -> bool:
        """Note an id; whether it is new."""
        sql = "INSERT OR IGNORE INTO seen VALUES (?)"
        # Texts of Python may hold what UTF-8 cannot, ids of sessions never do.
        return self._database.execute(sql, (session_id,)).rowcount == 1


async def session_ids(core: StoreCore, kind: str | None = None) -> AsyncIterator[list[str]]:
    """Pages of ids of all sessions of a kind, or of all kinds; an id may come twice.

    But for what belongs to the cache, whose values are not moved either.
    """
    backend = core.backend
    kinds = [kind] if kind else await core.retrying.attempt("walk", "", lambda _: backend.kinds())
    for each in kinds:
        if each == CACHE_OWNER_KIND:
            continue
        cursor: str | None = None
        while True:
            ids, cursor = await _page(core, each, cursor)
            yield list(ids)
            if cursor is None:
                break


async def _page(core: StoreCore, kind: str, cursor: str | None) -> tuple[Sequence[str], str | None]:
    return await core.retrying.attempt("walk", "", lambda _: core.backend.session_ids(kind, cursor, _PAGE))


async def in_order(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What each of a few pieces of work gives, done at once. The first that fails ends the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def few_at_once(works: Iterable[Coroutine[Any, Any, T]]) -> AsyncIterator[T]:
    """What each piece of work gives, in their order."""
    waiting = iter(works)
    while chunk := list(itertools.islice(waiting, AT_ONCE)):
        for each in await in_order(chunk):
            yield each
