"""Moving conversations over from the SDK's own SQLite file, or from the keys of its RedisSession."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from miniagent_store.errors import SessionNotFoundError, VersionConflictError
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.ids import join_id
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.openai_agents.items import as_json
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL

PAGE = 1000
IMPORTED = "imported_from"
Target = str | StoreURL | SessionStore | StoreHandle | None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import has done so far.

    Attributes:
        sessions: how many were stored.
        items: how many items they have.
        left_alone: how many sessions were there already.
        damaged: how many items were left out, since they are no JSON objects; the SDK shows none of them.
    """

    sessions: int = 0
    items: int = 0
    left_alone: int = 0
    damaged: int = 0


Progress = Callable[[ImportReport], None]


class StoredItem(NamedTuple):
    """An item as it stands in the source."""

    text: str | bytes
    time: datetime | None = None


async def import_sqlite_sessions(
    file: str | Path,
    store: Target,
    *,
    sessions_table: str = "agent_sessions",
    messages_table: str = "agent_messages",
    progress: Progress | None = None,
) -> ImportReport:
    """Copy all sessions of a file of `SQLiteSession`, which is only read.

    Each session is one commit. One that has items in the store already is left alone, so what was cut short
    may be begun again. Items keep their order and time.

    Args:
        file: the SDK's database.
        store: where to: a URL, a `SessionStore` or a `StoreHandle`.
        sessions_table, messages_table: as they were given to `SQLiteSession`.
        progress: called after each session.

    Raises:
        sqlite3.OperationalError: there is no such file, or it is none of `SQLiteSession`.
    """

    def read(connection: sqlite3.Connection, session_id: str) -> list[StoredItem]:
        wanted = f"SELECT message_data, created_at FROM {_table(messages_table)}"
        rows = connection.execute(f"{wanted} WHERE session_id = ? ORDER BY id", (session_id,))
        return [StoredItem(text, _time(created_at)) for text, created_at in rows]

    def names(connection: sqlite3.Connection) -> list[str]:
        found = connection.execute(f"SELECT session_id FROM {_table(sessions_table)} ORDER BY created_at")
        return [session_id for (session_id,) in found]

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            Path(file).absolute().as_uri() + "?mode=ro", uri=True, check_same_thread=False
        )

    async def sessions() -> AsyncIterator[tuple[str, list[StoredItem]]]:
        with closing(await asyncio.to_thread(connect)) as connection:
            for session_id in await asyncio.to_thread(names, connection):
                yield session_id, await asyncio.to_thread(read, connection, session_id)

    return await _import(sessions(), store, "SQLiteSession", progress)


async def import_redis_sessions(
    source: Any, store: Target, *, key_prefix: str = "agents:session", progress: Progress | None = None
) -> ImportReport:
    """Copy all sessions of the SDK's `RedisSession`, whose keys are only read.

    As `import_sqlite_sessions`; items have no times of their own there.

    Args:
        source: the URL of the Redis they are on, or a client of `redis.asyncio`.
        store: where to: a URL, a `SessionStore` or a `StoreHandle`.
        key_prefix: as it was given to `RedisSession`.
        progress: called after each session.
    """
    with requires("redis", extra="redis"):
        from redis.asyncio import Redis

    client: Any = Redis.from_url(source) if isinstance(source, str) else source

    async def sessions() -> AsyncIterator[tuple[str, list[StoredItem]]]:
        head, tail = f"{key_prefix}:", ":messages"
        pattern = re.sub(r"([*?\[\]^\\])", r"\\\1", head) + "*" + tail
        seen: set[str] = set()
        async for raw in client.scan_iter(match=pattern, count=PAGE, _type="list"):
            key = raw.decode() if isinstance(raw, bytes) else str(raw)
            if key in seen:
                continue
            seen.add(key)
            items: list[StoredItem] = []
            while page := await client.lrange(key, len(items), len(items) + PAGE - 1):
                items += map(StoredItem, page)
            yield key[len(head) : -len(tail)], items

    try:
        return await _import(sessions(), store, "RedisSession", progress)
    finally:
        if isinstance(source, str):
            await client.aclose()


async def _import(
    sessions: AsyncIterator[tuple[str, list[StoredItem]]],
    store: Target,
    kind: str,
    progress: Progress | None,
) -> ImportReport:
    handle, report = handle_of(store), ImportReport()
    try:
        async for session_id, items in sessions:
            good = list(_decoded(items))
            damaged = len(items) - len(good)
            copy = partial(_copy, name=join_id(session_id), items=good, kind=kind)
            if not good:
                report = _with(report, damaged=damaged)
            elif await handle.run_to_end(copy):
                report = _with(report, sessions=1, items=len(good), damaged=damaged)
            else:
                report = _with(report, left_alone=1)
            if progress is not None:
                progress(report)
    finally:
        if not isinstance(store, StoreHandle):
            await handle.aclose()
    return report


async def _copy(
    store: SessionStore, name: str, items: list[tuple[dict[str, Any], datetime | None]], kind: str
) -> bool:
    """Whether the session was stored; it is not where there is one with items."""
    try:
        if (await store.get(name)).message_count:
            return False
    except SessionNotFoundError:
        pass
    try:
        async with store.batch(name, create=True) as batch:
            # Of two imports at once one is first.
            batch.state.set_if_absent(IMPORTED, kind, required=True)
            for item, time in items:
                batch.append(item, time=time, dedupe=False)
    except VersionConflictError:
        return False
    return True


def _decoded(items: list[StoredItem]) -> Iterator[tuple[dict[str, Any], datetime | None]]:
    for text, time in items:
        try:
            item = json.loads(text)
        except ValueError:
            continue
        if isinstance(item, dict):
            yield as_json(item), time


def _with(report: ImportReport, **more: int) -> ImportReport:
    return ImportReport(
        report.sessions + more.get("sessions", 0),
        report.items + more.get("items", 0),
        report.left_alone + more.get("left_alone", 0),
        report.damaged + more.get("damaged", 0),
    )


def _table(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _time(text: str | None) -> datetime | None:
    # SQLite's CURRENT_TIMESTAMP: UTC, without saying so.
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
    except ValueError:
        return None
