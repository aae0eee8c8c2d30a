"""One session's parts in SQL: what the rules of `miniagent_store.rules` read and write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgpack  # type: ignore[import-untyped]

from miniagent_backends.sqlite import records
from miniagent_backends.sqlite.known import MOST_WRITERS, KnownSession
from miniagent_backends.sqlite.ranges import name_range
from miniagent_backends.sqlite.transaction import Transaction, now_ms
from miniagent_store.backend import EntryColumns, Record, StateScan, StoredEntry, StoredValue
from miniagent_store.rules import LeaseRow, WriterWindow, next_in_line

_SELECT = f"SELECT sessions.key, {records.COLUMNS} FROM sessions WHERE namespace = ? AND id = ?"
_INSERT = (
    f"INSERT INTO sessions (key, namespace, {', '.join(records.FIXED + records.CHANGING)}, "
    "messages, changed) "
    f"VALUES ({', '.join('?' * (4 + len(records.FIXED + records.CHANGING)))})"
)
# An index is written only where one of its columns is named, so what a commit leaves is not.
_UPDATE = f"UPDATE sessions SET {' = ?, '.join(records.CHANGING)} = ?, messages = ?"
_UPDATE_CHANGED = f"{_UPDATE}, changed = ? WHERE key = ?"
_UPDATE_QUIETLY = f"{_UPDATE} WHERE key = ?"
_FIELDS = "version, id, time_ms, payload, redacted, caller_id, digest"  # as those of `StoredEntry`
_SEQUENCES = "SELECT seq FROM entries WHERE session = ? AND log = ? AND seq BETWEEN ? AND ? ORDER BY seq"
_ENTRIES = (
    f"SELECT {_FIELDS} FROM entries WHERE session = ? AND log = ? AND seq BETWEEN ? AND ? ORDER BY seq"
)
_ADD_ENTRY = f"INSERT INTO entries (session, log, seq, {_FIELDS}) VALUES ({', '.join('?' * 10)})"
_VALUE = "name, version, payload, counter, expires_ms"
_PUT_VALUE = (
    f"INSERT INTO state (session, {_VALUE}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (session, name) "
    "DO UPDATE SET version = excluded.version, payload = excluded.payload, "
    "counter = excluded.counter, expires_ms = excluded.expires_ms"
)
_SAVE_LEASE = (
    "INSERT INTO leases (namespace, scope, name, owner, fence, until_ms, holder, line) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (namespace, scope, name) DO UPDATE SET "
    "owner = excluded.owner, fence = excluded.fence, "
    "until_ms = excluded.until_ms, holder = excluded.holder, line = excluded.line"
)


class SqlRows:
    """`SessionRows` over a transaction.

    New entries are written with the record, so that a commit that only appends writes nothing before all
    is checked.

    Args:
        session_id: whose parts.
        new_key: for the session, if it is made here: that of a stage. A new one otherwise.
    """

    def __init__(self, transaction: Transaction, session_id: str, new_key: int | None = None) -> None:
        self._transaction, self._execute = transaction, transaction.execute
        self._session_id = session_id
        self._new_key = new_key
        self._loaded = False
        self._key: int | None = None
        self._stored: Record | None = None
        self._windows: Mapping[str, WriterWindow] = {}
        self._added: dict[tuple[str, int], StoredEntry] = {}
        self._added_ids: dict[tuple[str, str], StoredEntry] = {}

    @classmethod
    def of_stage(cls, transaction: Transaction, session_id: str, key: int) -> SqlRows:
        """The parts of a stage, which has no record."""
        rows = cls(transaction, session_id)
        rows._loaded, rows._key = True, key
        return rows

    # The record

    def record(self) -> Record | None:
        if self._loaded:
            return self._stored
        self._loaded = True
        transaction = self._transaction
        known = transaction.known
        session = None if known is None else known.get(transaction.namespace, self._session_id)
        if session is not None:
            self._key, self._stored, self._windows = session
        else:
            row = self._execute(_SELECT, (transaction.namespace, self._session_id)).fetchone()
            if row is not None:
                self._key, self._stored = row[0], records.record_of(row[1:])
        return self._stored

    def save_record(self, record: Record) -> None:
        before = self.record()
        self._write_added()
        values = (*records.changing_values(record), record.message_count)
        if before is None:
            key = self._key_to_write()
            fixed = (key, self._transaction.namespace, *records.fixed_values(record))
            self._execute(_INSERT, (*fixed, *values, self._note_change()))
            self._execute(
                "DELETE FROM gone WHERE namespace = ? AND id = ?",
                (self._transaction.namespace, self._session_id),
            )
        elif before.version != record.version:
            self._execute(_UPDATE_CHANGED, (*values, self._note_change(), self._key))
        else:
            self._execute(_UPDATE_QUIETLY, (*values, self._key))
        self._save_tags(before, record)
        self._transaction.count(before, record)
        self._stored = record
        self._note()

    def drop(self) -> None:
        record = self.record()
        if record is None:
            return
        self._write_added()
        remove_parts(self._transaction, self._key_to_write())
        self._execute("DELETE FROM sessions WHERE key = ?", (self._key,))
        self._remove_tags(record)
        self._transaction.count(record, None)
        self._key, self._stored, self._windows = None, None, {}
        self._note()

    def claimed_ms(self) -> int:
        (until_ms,) = self._execute(
            "SELECT claimed_ms FROM sessions WHERE key = ?", (self._key,)
        ).fetchone()
        return int(until_ms)

    def leave_trace(self, record: Record, now_ms: int) -> None:
        """Let those who follow changes know that the session is gone; after `drop`."""
        self._execute(
            "INSERT OR REPLACE INTO gone (changed, namespace, id, kind, user_id, version, time_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                self._note_change(),
                self._transaction.namespace,
                self._session_id,
                record.kind,
                record.user_id,
                record.version,
                now_ms,
            ),
        )

    def _key_to_write(self) -> int:
        """The session's key; parts of a new one are written before its record is."""
        if self._key is None:
            self._key = self._new_key if self._new_key is not None else self._transaction.ticket()
        return self._key

    def known(self) -> KnownSession | None:
        """The session as it stands now; see `KnownSessions`."""
        if self._stored is None or self._key is None:
            return None
        return KnownSession(self._key, self._stored, self._windows)

    def _note(self) -> None:
        transaction = self._transaction
        if transaction.known is not None:
            transaction.known.note(transaction.namespace, self._session_id, self)

    def _note_change(self) -> int:
        self._transaction.wake_session(self._session_id)
        return self._transaction.ticket()

    def _save_tags(self, before: Record | None, record: Record) -> None:
        if before is not None:
            if (before.tags, before.last_activity_ms) == (record.tags, record.last_activity_ms):
                return
            self._remove_tags(before)
        for tag in set(record.tags):
            self._execute(
                "INSERT INTO tags (namespace, kind, tag, last_activity_ms, id, session) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (*self._tag_key(record, tag), self._key),
            )

    def _remove_tags(self, record: Record) -> None:
        for tag in set(record.tags):
            self._execute(
                "DELETE FROM tags WHERE (namespace, kind, tag, last_activity_ms, id) = (?, ?, ?, ?, ?)",
                self._tag_key(record, tag),
            )

    def _tag_key(self, record: Record, tag: str) -> tuple[Any, ...]:
        return self._transaction.namespace, record.kind, tag, record.last_activity_ms, record.session_id

    # Writers

    def writer(self, writer: str) -> WriterWindow | None:
        known = self._windows.get(writer)
        if known is not None:
            return known
        row = self._execute(
            "SELECT stamp_ms, outcomes FROM writers WHERE session = ? AND writer = ?", (self._key, writer)
        ).fetchone()
        return row and self._transaction.windows.unpack(self._key, writer, *row)

    def save_writer(self, writer: str, window: WriterWindow) -> None:
        key = self._key_to_write()
        self._execute(
            "INSERT INTO writers (session, writer, stamp_ms, outcomes) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (session, writer) DO UPDATE SET stamp_ms = excluded.stamp_ms, "
            "outcomes = excluded.outcomes",
            (key, writer, window.stamp_ms, self._transaction.windows.pack(key, writer, window)),
        )
        others = self._windows if len(self._windows) < MOST_WRITERS else {}
        self._windows = {**others, writer: window}
        self._note()

    def forget_writers(self, before_ms: int) -> None:
        self._execute("DELETE FROM writers WHERE session = ? AND stamp_ms < ?", (self._key, before_ms))
        self._windows = {
            writer: window for writer, window in self._windows.items() if window.stamp_ms >= before_ms
        }

    # Logs

    def entries(self, log: str, low: int, high: int) -> Sequence[StoredEntry]:
        self._write_added()
        rows = self._execute(_ENTRIES, (self._key, log, low, high)).fetchall()
        if not rows:
            return ()
        versions, ids, times_ms, payloads, redacted, caller_ids, digests = zip(*rows, strict=True)
        marks = {}
        if any(redacted) or any(caller_ids):
            of_all = enumerate(zip(redacted, caller_ids, digests, strict=True))
            marks = {at: (mark[0] != 0, *mark[1:]) for at, mark in of_all if any(mark)}
        seqs: Sequence[int] = range(low, low + len(rows))
        if len(rows) <= high - low:
            # One of them is missing: who asked sees that, or wants to know which.
            seqs = [seq for (seq,) in self._execute(_SEQUENCES, (self._key, log, low, high))]
        return EntryColumns(seqs, ids, times_ms, lambda: versions, payloads, marks=marks)

    def add_entry(self, log: str, entry: StoredEntry) -> None:
        self._added[log, entry.seq] = entry
        if entry.caller_id is not None:
            self._added_ids[log, entry.caller_id] = entry

    def _write_added(self) -> None:
        if self._added:
            key = self._key_to_write()
            rows = [(key, log, *entry) for (log, _), entry in self._added.items()]
            self._transaction.executemany(_ADD_ENTRY, rows)
            self._added.clear()
            self._added_ids.clear()

    def add_entries(self, log: str, entries: Iterable[StoredEntry]) -> None:
        """Write many."""
        key = self._key_to_write()
        self._transaction.executemany(_ADD_ENTRY, ((key, log, *entry) for entry in entries))

    def remove_entries(self, log: str, low: int, high: int) -> int:
        self._write_added()
        return remove_weighed(
            self._transaction,
            "entries",
            "session = ? AND log = ? AND seq BETWEEN ? AND ?",
            (self._key, log, low, high),
        )

    def redact_entry(self, log: str, seq: int, payload: bytes) -> int:
        self._write_added()
        where = (self._key, log, seq)
        row = self._execute(
            "SELECT length(payload) FROM entries WHERE session = ? AND log = ? AND seq = ?", where
        ).fetchone()
        self._execute(
            "UPDATE entries SET payload = ?, redacted = 1 WHERE session = ? AND log = ? AND seq = ?",
            (payload, *where),
        )
        return int(row[0]) if row else 0

    def replace_payload(self, log: str, seq: int, payload: bytes) -> None:
        self._write_added()
        self._execute(
            "UPDATE entries SET payload = ? WHERE session = ? AND log = ? AND seq = ?",
            (payload, self._key, log, seq),
        )

    def entry_version(self, log: str, seq: int) -> int:
        added = self._added.get((log, seq))
        if added is not None:
            return added.version
        row = self._execute(
            "SELECT version FROM entries WHERE session = ? AND log = ? AND seq = ?", (self._key, log, seq)
        ).fetchone()
        return int(row[0]) if row else 0

    def last_seq_at(self, log: str, version: int) -> int:
        """Halving, since versions never fall along a log; an index on them would cost every append."""
        self._write_added()
        low, high = self._execute(
            "SELECT (SELECT min(seq) FROM entries WHERE session = ? AND log = ?), "
            "(SELECT max(seq) FROM entries WHERE session = ? AND log = ?)",
            (self._key, log) * 2,
        ).fetchone()
        if low is None or self.entry_version(log, low) > version:
            return 0
        while low < high:
            middle = (low + high + 1) // 2
            if self.entry_version(log, middle) <= version:
                low = middle
            else:
                high = middle - 1
        return int(low)

    def caller_id(self, log: str, caller_id: str) -> tuple[int, bytes | None] | None:
        added = self._added_ids.get((log, caller_id))
        if added is not None:
            return added.seq, added.digest
        row: tuple[int, bytes | None] | None = self._execute(
            "SELECT seq, digest FROM entries WHERE session = ? AND log = ? AND caller_id = ?",
            (self._key, log, caller_id),
        ).fetchone()
        return row

    # State

    def value(self, name: str) -> StoredValue | None:
        row = self._execute(
            f"SELECT {_VALUE} FROM state WHERE session = ? AND name = ?", (self._key, name)
        ).fetchone()
        return row and StoredValue(*row)

    def put_value(self, value: StoredValue) -> None:
        self._execute(
            _PUT_VALUE,
            (
                self._key_to_write(),
                value.name,
                value.version,
                value.payload,
                value.counter,
                value.expires_ms,
            ),
        )

    def remove_value(self, name: str) -> None:
        self._execute("DELETE FROM state WHERE session = ? AND name = ?", (self._key, name))

    def remove_values(self, prefix: str) -> int:
        condition, bounds = name_range("name", prefix)
        return remove_weighed(self._transaction, "state", f"session = ? {condition}", (self._key, *bounds))

    def scan_values(self, scan: StateScan, now_ms: int) -> list[StoredValue]:
        condition, bounds = name_range("name", scan.prefix, scan.start, scan.reverse)
        rows = self._execute(
            f"SELECT {_VALUE} FROM state WHERE session = ? {condition} "
            "AND (expires_ms IS NULL OR expires_ms > ?) "
            f"ORDER BY name {'DESC' if scan.reverse else 'ASC'} LIMIT ?",
            (self._key, *bounds, now_ms, -1 if scan.limit is None else scan.limit),
        )
        return [StoredValue(*row) for row in rows]

    # The turn

    def turn(self) -> LeaseRow | None:
        return lease_row(self._transaction, "turn", self._session_id)

    def save_turn(self, row: LeaseRow) -> None:
        save_lease_row(self._transaction, "turn", self._session_id, row)


def remove_weighed(transaction: Transaction, table: str, where: str, values: tuple[Any, ...]) -> int:
    """Delete rows; the bytes of their payloads."""
    (weight,) = transaction.execute(
        f"SELECT coalesce(sum(length(payload)), 0) FROM {table} WHERE {where}", values
    ).fetchone()
    transaction.execute(f"DELETE FROM {table} WHERE {where}", values)
    return int(weight)


def remove_parts(transaction: Transaction, key: int) -> None:
    """Delete what hangs on the key of a session or stage."""
    for table in ("entries", "state", "writers"):
        transaction.execute(f"DELETE FROM {table} WHERE session = ?", (key,))


def lease_row(transaction: Transaction, scope: str, name: str) -> LeaseRow | None:
    """A turn or a lock."""
    row = transaction.execute(
        "SELECT owner, fence, until_ms, holder, line FROM leases "
        "WHERE namespace = ? AND scope = ? AND name = ?",
        (transaction.namespace, scope, name),
    ).fetchone()
    return None if row is None else _lease_row(*row)


def standing_lease_rows(transaction: Transaction, now: int) -> Iterator[LeaseRow]:
    """Turns and locks that somebody has, or may wait for."""
    rows = transaction.execute(
        "SELECT owner, fence, until_ms, holder, line FROM leases "
        "WHERE namespace = ? AND (until_ms > ? OR line IS NOT NULL)",
        (transaction.namespace, now),
    )
    return (_lease_row(*row) for row in rows)


def _lease_row(owner: str, fence: int, until_ms: int, holder: str, line: bytes | None) -> LeaseRow:
    return LeaseRow(owner, fence, until_ms, holder, msgpack.unpackb(line, use_list=False) if line else ())


def save_lease_row(transaction: Transaction, scope: str, name: str, row: LeaseRow) -> None:
    """Write a turn or a lock, and wake who is next."""
    line = msgpack.packb(row.line) if row.line else None
    values = (row.owner, row.fence, row.until_ms, row.holder, line)
    transaction.execute(_SAVE_LEASE, (transaction.namespace, scope, name, *values))
    owner = next_in_line(row, now_ms())
    if owner is not None:
        transaction.wake_owner(scope, name, owner)


def drop_lease_row(transaction: Transaction, scope: str, name: str) -> None:
    """Remove a turn or a lock."""
    transaction.execute(
        "DELETE FROM leases WHERE namespace = ? AND scope = ? AND name = ?",
        (transaction.namespace, scope, name),
    )
