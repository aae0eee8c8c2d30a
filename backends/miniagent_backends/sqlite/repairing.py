"""What somebody's hand, or a tool for damaged files, left wrong; commits themselves leave nothing.

Each step is one transaction, and short, so that commits go on in between.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

import msgpack  # type: ignore[import-untyped]

from miniagent_backends.sqlite import records
from miniagent_backends.sqlite.counts import save_counts
from miniagent_backends.sqlite.rows import SqlRows
from miniagent_backends.sqlite.transaction import Transaction
from miniagent_store.backend import KEPT_EPOCHS, LogTail, Record
from miniagent_store.errors import SessionDamagedError
from miniagent_store.repair_report import Damage, RepairReport

T = TypeVar("T")
PAGE = 200
ORPHAN_ROWS = 2_000
_OWNERS = "SELECT key FROM sessions UNION ALL SELECT key FROM stages"
_COUNTED = """
SELECT kind, 'all', '', count(*), sum(messages), sum(size) FROM sessions WHERE namespace = :n GROUP BY kind
UNION ALL SELECT kind, 'user', user_id, count(*), 0, 0 FROM sessions
    WHERE namespace = :n AND user_id IS NOT NULL GROUP BY kind, user_id
UNION ALL SELECT kind, 'agent', agent, count(*), 0, 0 FROM sessions
    WHERE namespace = :n AND agent IS NOT NULL GROUP BY kind, agent
UNION ALL SELECT kind, 'users', '', count(DISTINCT user_id), 0, 0 FROM sessions
    WHERE namespace = :n AND user_id IS NOT NULL GROUP BY kind
UNION ALL SELECT kind, 'agents', '', count(DISTINCT agent), 0, 0 FROM sessions
    WHERE namespace = :n AND agent IS NOT NULL GROUP BY kind
"""


class Run(Protocol):
    """Does work in a transaction of a thread."""

    def __call__(self, work: Callable[[Transaction], T], /) -> Awaitable[T]: ...


class _Page(NamedTuple):
    last: str | None
    looked_at: int
    damages: list[Damage]


class Repairing:
    """One walk over a namespace.

    Args:
        read, write: run work in a transaction.
        report: takes what is found.
        salvage, dry_run: see `Backend.repair`.
    """

    def __init__(
        self, read: Run, write: Run, report: RepairReport, *, salvage: bool, dry_run: bool
    ) -> None:
        self._report, self._salvage, self._dry_run = report, salvage, dry_run
        self._read, self._write = read, read if dry_run else write

    async def run(self, progress: Callable[[int], None] | None) -> None:
        """See `Backend.repair`."""
        for problem in await self._read(_check):
            self._report.add(Damage("lost", "the file", problem))
        last: str | None = ""
        while last is not None:
            # To look is a reader's work; the writer is asked only where something is wrong.
            page = await self._read(partial(self._sessions, after=last, mend=False))
            if page.damages and not self._dry_run:
                page = await self._write(partial(self._sessions, after=last, mend=True))
            last = page.last
            self._report.sessions += page.looked_at
            for damage in page.damages:
                self._report.add(damage)
            if progress is not None:
                progress(self._report.sessions)
        await self._strangers()
        await self._orphans()
        await self._counts()

    # Sessions

    def _sessions(self, transaction: Transaction, after: str, *, mend: bool) -> _Page:
        rows = transaction.execute(
            f"SELECT key, messages, {records.COLUMNS} FROM sessions "
            "WHERE namespace = ? AND id > ? ORDER BY id LIMIT ?",
            (transaction.namespace, after, PAGE),
        ).fetchall()
        damages = [damage for row in rows for damage in self._session(transaction, row, mend)]
        return _Page(rows[-1][2] if len(rows) == PAGE else None, len(rows), damages)

    def _session(self, transaction: Transaction, row: Sequence[Any], mend: bool) -> Iterator[Damage]:
        key, messages, session_id = row[:3]
        try:
            record = records.record_of(row[2:])
        except SessionDamagedError as error:
            yield Damage("lost", session_id, f"{error.part} {error.problem}")
            return
        standing = _standing(transaction, key)
        lost = {
            log: tail.count - standing.get(log, (0, 0))[0]
            for log, tail in record.logs.items()
            if tail.count and standing.get(log) != (tail.count, tail.last)
        }
        mends = mend and self._salvage
        for log, count in lost.items():
            what = f"log {log!r} has lost {count} entries" if count > 0 else f"log {log!r} is not in order"
            yield Damage("lost", session_id, what, mends)
        if lost and mends:
            _salvage(transaction, key, record, lost)
            return
        if messages != record.message_count:
            if mend:
                _forget_known(transaction)
                transaction.execute(
                    "UPDATE sessions SET messages = ? WHERE key = ?", (record.message_count, key)
                )
            yield Damage("index", session_id, "its number of messages is wrong", mend)
        missing = [
            tag
            for tag in sorted(set(record.tags))
            if not transaction.execute(
                "SELECT count(*) FROM tags WHERE (namespace, kind, tag, last_activity_ms, id, session) = "
                "(?, ?, ?, ?, ?, ?)",
                _tag_row(transaction, record, tag, key),
            ).fetchone()[0]
        ]
        if missing:
            if mend:
                transaction.executemany(
                    "INSERT OR REPLACE INTO tags (namespace, kind, tag, last_activity_ms, id, session) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    [_tag_row(transaction, record, tag, key) for tag in missing],
                )
            yield Damage("index", session_id, f"listings by tag lack it ({', '.join(missing)})", mend)

    # What belongs to no session

    async def _strangers(self) -> None:
        """Tags in listings of sessions that are not there, or do not have them."""

        def work(transaction: Transaction) -> int:
            rows = transaction.execute(
                "SELECT tags.kind, tag, tags.last_activity_ms, tags.id, sessions.tags FROM tags "
                "LEFT JOIN sessions ON sessions.key = tags.session AND sessions.namespace = tags.namespace "
                "AND sessions.kind = tags.kind AND sessions.last_activity_ms = tags.last_activity_ms "
                "AND sessions.id = tags.id WHERE tags.namespace = ?",
                (transaction.namespace,),
            )
            strange = [row[:4] for row in rows if row[4] is None or row[1] not in msgpack.unpackb(row[4])]
            if not self._dry_run:
                transaction.executemany(
                    "DELETE FROM tags WHERE namespace = ? AND (kind, tag, last_activity_ms, id) = "
                    "(?, ?, ?, ?)",
                    [(transaction.namespace, *row) for row in strange],
                )
            return len(strange)

        what = "listings by tag hold sessions that are not there, or are not so"
        self._report.add(Damage("index", "listings", what, not self._dry_run), await self._write(work))

    async def _orphans(self) -> None:
        for table, what in (("entries", "entries"), ("state", "values"), ("writers", "outcomes")):
            for key in await self._read(partial(_orphans_in, table=table)):
                rows = await self._drop_orphan(table, key)
                if rows:
                    told = f"{rows} {what} of a session that is not there"
                    self._report.add(Damage("orphan", f"row {key}", told, not self._dry_run))

    async def _drop_orphan(self, table: str, key: int) -> int:
        # A ticket of its own, asked for again: one that was on its way into the file is there by now.
        orphan = f"session = ? AND session NOT IN ({_OWNERS})"

        def count(transaction: Transaction) -> int:
            (rows,) = transaction.execute(f"SELECT count(*) FROM {table} WHERE {orphan}", (key,)).fetchone()
            return int(rows)

        def drop(transaction: Transaction) -> int:
            return transaction.execute(
                f"DELETE FROM {table} WHERE rowid IN "
                f"(SELECT rowid FROM {table} WHERE {orphan} LIMIT {ORPHAN_ROWS})",
                (key,),
            ).rowcount

        if self._dry_run:
            return await self._read(count)
        rows = done = await self._write(drop)
        while done == ORPHAN_ROWS:
            done = await self._write(drop)
            rows += done
        return rows

    # Counts

    async def _counts(self) -> None:
        wrong = len(await self._read(_wrong_counts))
        if wrong and not self._dry_run:
            wrong = await self._write(_recount)
        what = "the number of sessions, messages, bytes, users or agents was wrong"
        self._report.add(Damage("index", "counts", what, not self._dry_run), wrong)


def _check(transaction: Transaction) -> list[str]:
    rows = transaction.execute("PRAGMA quick_check(10)").fetchall()
    problems = [text for (text,) in rows if text != "ok"]
    return [f"SQLite finds it damaged: {text}" for text in problems]


def _orphans_in(transaction: Transaction, table: str) -> list[int]:
    rows = transaction.execute(f"SELECT DISTINCT session FROM {table} WHERE session NOT IN ({_OWNERS})")
    return [key for (key,) in rows]


def _standing(transaction: Transaction, key: int) -> dict[str, tuple[int, int]]:
    """How many entries each log has, and the last sequence; with a hole, a last one that is too high."""
    rows = transaction.execute(
        "SELECT log, count(*), max(seq) FROM entries WHERE session = ? GROUP BY log", (key,)
    )
    return {log: (count, last) for log, count, last in rows}


def _salvage(transaction: Transaction, key: int, record: Record, lost: dict[str, int]) -> None:
    """Let what is left of logs be their last entries."""
    logs, lowest = dict(record.logs), dict[str, int]()
    for log in lost:
        tail = record.logs[log]
        lowest[log] = tail.base + 1
        kept = transaction.execute(
            "SELECT rowid FROM entries WHERE session = ? AND log = ? ORDER BY seq", (key, log)
        ).fetchall()
        last = max(tail.last, len(kept))
        # By way of sequences that nobody has: each may be only once.
        for sign in (-1, 1):
            transaction.executemany(
                "UPDATE entries SET seq = ? WHERE rowid = ?",
                [(sign * (last - at), rowid) for at, (rowid,) in enumerate(reversed(kept))],
            )
        logs[log] = LogTail(last - len(kept), len(kept))
    _forget_known(transaction)
    (size,) = transaction.execute(
        "SELECT (SELECT coalesce(sum(length(payload)), 0) FROM entries WHERE session = :key) "
        "+ (SELECT coalesce(sum(length(payload)), 0) FROM state WHERE session = :key)",
        {"key": key},
    ).fetchone()
    SqlRows(transaction, record.session_id).save_record(
        replace(
            record,
            logs=logs,
            size=size + len(record.metadata),
            version=record.version + 1,
            epoch=record.epoch + 1,
            resets=(*record.resets, (record.epoch + 1, lowest))[-KEPT_EPOCHS:],
            token=os.urandom(24),
        )
    )


def _forget_known(transaction: Transaction) -> None:
    if transaction.known is not None:
        transaction.known.forget()


def _tag_row(transaction: Transaction, record: Record, tag: str, key: int) -> tuple[Any, ...]:
    return transaction.namespace, record.kind, tag, record.last_activity_ms, record.session_id, key


def _wrong_counts(transaction: Transaction) -> list[tuple[Any, ...]]:
    """Rows that should be there, or should not."""
    right = set(transaction.execute(_COUNTED, {"n": transaction.namespace}))
    stored = set(
        transaction.execute(
            "SELECT kind, scope, name, sessions, messages, size FROM counts WHERE namespace = ?",
            (transaction.namespace,),
        )
    )
    return [*{row[:3] for row in right ^ stored}]


def _recount(transaction: Transaction) -> int:
    # What others have changed in this transaction is in the sessions, and has yet to be counted.
    save_counts(transaction.execute, transaction.counted)
    wrong = _wrong_counts(transaction)
    transaction.execute("DELETE FROM counts WHERE namespace = ?", (transaction.namespace,))
    transaction.execute(
        "INSERT INTO counts (namespace, kind, scope, name, sessions, messages, size) "
        f"SELECT :n, * FROM ({_COUNTED})",
        {"n": transaction.namespace},
    )
    transaction.counted.clear()
    return len(wrong)
