"""One session's parts in SQL: what the rules of `miniagent_store.rules` read and write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import psycopg

from miniagent_postgresql import records
from miniagent_postgresql.prefixes import name_range
from miniagent_postgresql.transaction import Row, Transaction
from miniagent_store.backend import EntryColumns, Record, StateScan, StoredEntry, StoredValue
from miniagent_store.rules import LeaseRow, WriterWindow, next_in_line

_SELECT = f"SELECT sessions.key, {records.COLUMNS} FROM sessions WHERE namespace = %s AND id = %s"
# With the window of the writer who commits.
_SELECT_FOR = (
    f"SELECT writers.stamp_ms, writers.outcomes, sessions.key, {records.COLUMNS} FROM sessions "
    "LEFT JOIN writers ON writers.session = sessions.key AND writers.writer = %s "
    "WHERE namespace = %s AND sessions.id = %s FOR NO KEY UPDATE OF sessions"
)
_WRITTEN = (*records.CHANGING, "key", "namespace", *records.FIXED)
_INSERT = (
    f"INSERT INTO sessions ({', '.join(_WRITTEN)}, changed) "
    f"VALUES ({', '.join(['%s'] * len(_WRITTEN))}, pg_current_xact_id())"
)
_UPDATE = f"UPDATE sessions SET {' = %s, '.join(records.CHANGING)} = %s"
_UPDATE_CHANGED = f"{_UPDATE}, changed = pg_current_xact_id() WHERE key = %s"
_UPDATE_QUIETLY = f"{_UPDATE} WHERE key = %s"
_ENTRIES = (
    "SELECT version, id, time_ms, payload, redacted, caller_id, digest FROM entries "
    "WHERE session = %s AND log = %s AND seq BETWEEN %s AND %s ORDER BY seq"
)
# Any number of entries in one statement.
_ADD_ENTRIES = (
    "INSERT INTO entries (session, log, seq, version, id, time_ms, payload, redacted, caller_id, digest) "
    "SELECT %s, %s, * FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[], %s::bigint[], %s::bytea[], "
    "%s::boolean[], %s::text[], %s::bytea[])"
)
_VALUE = "name, version, payload, counter, expires_ms"
_PUT_VALUE = (
    f"INSERT INTO state (session, {_VALUE}) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (session, name) "
    "DO UPDATE SET version = excluded.version, payload = excluded.payload, counter = excluded.counter, "
    "expires_ms = excluded.expires_ms"
)
_SAVE_WRITER = (
    "INSERT INTO writers (session, writer, stamp_ms, outcomes) VALUES (%s, %s, %s, %s) "
    "ON CONFLICT (session, writer) DO UPDATE SET stamp_ms = excluded.stamp_ms, outcomes = excluded.outcomes"
)
_SAVE_LEASE = (
    "INSERT INTO leases (namespace, scope, name, owner, fence, until_ms, holder, line) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (namespace, scope, name) DO UPDATE SET "
    "owner = excluded.owner, fence = excluded.fence, until_ms = excluded.until_ms, "
    "holder = excluded.holder, line = excluded.line"
)
_LEAVE_TRACE = (
    "INSERT INTO gone (namespace, id, kind, user_id, version, time_ms, changed) "
    "VALUES (%s, %s, %s, %s, %s, %s, pg_current_xact_id()) ON CONFLICT (namespace, id) DO UPDATE SET "
    "kind = excluded.kind, user_id = excluded.user_id, version = excluded.version, "
    "time_ms = excluded.time_ms, changed = excluded.changed"
)


class SqlRows:
    """`SessionRows` over a transaction.

    New entries are written with the record, all of a log in one statement.

    Args:
        session_id: whose parts.
        writer: whose window is read with the record.
        new_key: for the session, if it is made here: that of a stage. A new one otherwise.
        locked: whether no sweep may claim the session until this transaction ends; False to read only.
    """

    def __init__(
        self,
        transaction: Transaction,
        session_id: str,
        *,
        writer: str | None = None,
        new_key: int | None = None,
        locked: bool = True,
    ) -> None:
        self._transaction, self._session_id = transaction, session_id
        self._writer, self._new_key = writer, new_key
        self._asked: psycopg.Cursor[Row] | None = None
        self._loaded = False
        self._key: int | None = None
        self._stored: Record | None = None
        self._window: WriterWindow | None = None
        self._added: dict[tuple[str, int], StoredEntry] = {}
        self._added_ids: dict[tuple[str, str], StoredEntry] = {}
        here = (transaction.namespace, session_id)
        if writer is None:
            self._asked = transaction.ask(f"{_SELECT} FOR NO KEY UPDATE" if locked else _SELECT, here)
        else:
            self._asked = transaction.ask(_SELECT_FOR, (writer, *here))

    # The record

    def record(self) -> Record | None:
        if self._asked is not None:
            row, self._asked = self._asked.fetchone(), None
            if row is not None:
                if self._writer is not None:
                    (stamp_ms, outcomes), row = row[:2], row[2:]
                    if stamp_ms is not None:
                        self._window = records.window_of(stamp_ms, outcomes)
                self._key, self._stored = row[0], records.record_of(row[1:])
        return self._stored

    def save_record(self, record: Record) -> None:
        before = self.record()
        self._write_added()
        changing = records.changing_values(record)
        if before is None:
            place = (self._key_to_write(), self._transaction.namespace, *records.fixed_values(record))
            self._transaction.write(_INSERT, (*changing, *place))
            self._transaction.write(
                "DELETE FROM gone WHERE namespace = %s AND id = %s",
                (self._transaction.namespace, self._session_id),
            )
            self._wake()
        elif before.version != record.version:
            self._transaction.write(_UPDATE_CHANGED, (*changing, self._key))
            self._wake()
        else:
            self._transaction.write(_UPDATE_QUIETLY, (*changing, self._key))
        self._stored = record

    def drop(self) -> None:
        if self.record() is None:
            return
        self._added.clear()
        self._added_ids.clear()
        remove_parts(self._transaction, self._key_to_write())
        self._transaction.write("DELETE FROM sessions WHERE key = %s", (self._key,))
        self._key, self._stored, self._window = None, None, None

    def claimed_ms(self) -> int:
        return self._transaction.number(
            "SELECT claimed_ms FROM sessions WHERE key = %s FOR NO KEY UPDATE", (self._key,)
        )

    def leave_trace(self, record: Record) -> None:
        """Let those who follow changes know that the session is gone; after `drop`."""
        self._transaction.write(
            _LEAVE_TRACE,
            (
                self._transaction.namespace,
                self._session_id,
                record.kind,
                record.user_id,
                record.version,
                self._transaction.now_ms,
            ),
        )
        self._wake()

    def _key_to_write(self) -> int:
        """The session's key; parts of a new one are written before its record is."""
        self.record()
        if self._key is None:
            self._key = self._new_key if self._new_key is not None else self._transaction.new_key()
        return self._key

    def _wake(self) -> None:
        self._transaction.wake("session", self._session_id)
        self._transaction.wake("store")

    # Writers

    def writer(self, writer: str) -> WriterWindow | None:
        self.record()
        if writer == self._writer:
            return self._window
        row = self._transaction.row(
            "SELECT stamp_ms, outcomes FROM writers WHERE session = %s AND writer = %s", (self._key, writer)
        )
        return None if row is None else records.window_of(*row)

    def save_writer(self, writer: str, window: WriterWindow) -> None:
        packed = records.pack_window(window)
        self._transaction.write(_SAVE_WRITER, (self._key_to_write(), writer, window.stamp_ms, packed))

    def forget_writers(self, before_ms: int) -> None:
        self._transaction.write(
            "DELETE FROM writers WHERE session = %s AND stamp_ms < %s", (self._key, before_ms)
        )

    # Logs

    def entries(self, log: str, low: int, high: int) -> Sequence[StoredEntry]:
        self._write_added()
        rows = self._transaction.rows(_ENTRIES, (self._key, log, low, high))
        if not rows:
            return ()
        versions, ids, times_ms, payloads, redacted, caller_ids, digests = zip(*rows, strict=True)
        marks = {}
        if any(redacted) or any(caller_ids):
            of_all = enumerate(zip(redacted, caller_ids, digests, strict=True))
            marks = {at: mark for at, mark in of_all if any(mark)}
        # Where one of them is missing, there are too few, and who asked sees it.
        seqs = range(low, low + len(rows))
        return EntryColumns(seqs, ids, times_ms, lambda: versions, payloads, marks=marks)

    def add_entry(self, log: str, entry: StoredEntry) -> None:
        self._added[log, entry.seq] = entry
        if entry.caller_id is not None:
            self._added_ids[log, entry.caller_id] = entry

    def _write_added(self) -> None:
        if not self._added:
            return
        by_log: dict[str, list[StoredEntry]] = {}
        for (log, _), entry in self._added.items():
            by_log.setdefault(log, []).append(entry)
        key = self._key_to_write()
        for log, entries in by_log.items():
            add_entries(self._transaction, key, log, entries)
        self._added.clear()
        self._added_ids.clear()

    def remove_entries(self, log: str, low: int, high: int) -> int:
        self._write_added()
        where = "session = %s AND log = %s AND seq BETWEEN %s AND %s"
        return remove_weighed(self._transaction, "entries", where, (self._key, log, low, high))

    def redact_entry(self, log: str, seq: int, payload: bytes) -> int:
        self._write_added()
        where = (self._key, log, seq)
        size = self._transaction.row(
            "SELECT octet_length(payload) FROM entries WHERE session = %s AND log = %s AND seq = %s", where
        )
        self._transaction.write(
            "UPDATE entries SET payload = %s, redacted = true WHERE session = %s AND log = %s AND seq = %s",
            (payload, *where),
        )
        return int(size[0]) if size else 0

    def replace_payload(self, log: str, seq: int, payload: bytes) -> None:
        self._write_added()
        self._transaction.write(
            "UPDATE entries SET payload = %s WHERE session = %s AND log = %s AND seq = %s",
            (payload, self._key, log, seq),
        )

    def entry_version(self, log: str, seq: int) -> int:
        added = self._added.get((log, seq))
        if added is not None:
            return added.version
        row = self._transaction.row(
            "SELECT version FROM entries WHERE session = %s AND log = %s AND seq = %s",
            (self._key, log, seq),
        )
        return int(row[0]) if row else 0

    def last_seq_at(self, log: str, version: int) -> int:
        """From the end: what lies above is about to be removed anyway."""
        self._write_added()
        row = self._transaction.row(
            "SELECT seq FROM entries WHERE session = %s AND log = %s AND version <= %s "
            "ORDER BY seq DESC LIMIT 1",
            (self._key, log, version),
        )
        return int(row[0]) if row else 0

    def caller_id(self, log: str, caller_id: str) -> tuple[int, bytes | None] | None:
        added = self._added_ids.get((log, caller_id))
        if added is not None:
            return added.seq, added.digest
        row = self._transaction.row(
            "SELECT seq, digest FROM entries WHERE session = %s AND log = %s AND caller_id = %s",
            (self._key, log, caller_id),
        )
        return None if row is None else (row[0], row[1])

    # State

    def value(self, name: str) -> StoredValue | None:
        row = self._transaction.row(
            f"SELECT {_VALUE} FROM state WHERE session = %s AND name = %s", (self._key, name)
        )
        return None if row is None else StoredValue(*row)

    def put_value(self, value: StoredValue) -> None:
        put_value(self._transaction, self._key_to_write(), value)

    def remove_value(self, name: str) -> None:
        self._transaction.write("DELETE FROM state WHERE session = %s AND name = %s", (self._key, name))

    def remove_values(self, prefix: str) -> int:
        condition, bounds = name_range("name", prefix)
        where = f"session = %s {condition}"
        return remove_weighed(self._transaction, "state", where, (self._key, *bounds))

    def scan_values(self, scan: StateScan, now_ms: int) -> list[StoredValue]:
        condition, bounds = name_range("name", scan.prefix, scan.start, scan.reverse)
        rows = self._transaction.rows(
            f"SELECT {_VALUE} FROM state WHERE session = %s {condition} "
            "AND (expires_ms IS NULL OR expires_ms > %s) "
            f"ORDER BY name {'DESC' if scan.reverse else 'ASC'} LIMIT %s",
            (self._key, *bounds, now_ms, scan.limit),
        )
        return [StoredValue(*row) for row in rows]

    # The turn

    def turn(self) -> LeaseRow | None:
        return lease_row(self._transaction, "turn", self._session_id)

    def save_turn(self, row: LeaseRow) -> None:
        save_lease_row(self._transaction, "turn", self._session_id, row)


def add_entries(transaction: Transaction, key: int, log: str, entries: Sequence[StoredEntry]) -> None:
    """Write many entries of one log."""
    columns: list[list[Any]] = [list(column) for column in zip(*entries, strict=True)]
    transaction.write(_ADD_ENTRIES, (key, log, *columns))


def put_value(transaction: Transaction, key: int, value: StoredValue) -> None:
    """Write a state value."""
    fields = (value.name, value.version, value.payload, value.counter, value.expires_ms)
    transaction.write(_PUT_VALUE, (key, *fields))


def remove_weighed(transaction: Transaction, table: str, where: str, values: Sequence[Any]) -> int:
    """Delete rows; the bytes of their payloads."""
    rows = transaction.changed(
        f"WITH gone AS (DELETE FROM {table} WHERE {where} RETURNING octet_length(payload) AS size) "
        "SELECT coalesce(sum(size), 0)::bigint FROM gone",
        values,
    )
    return int(rows[0][0])


def remove_parts(transaction: Transaction, key: int) -> None:
    """Delete what hangs on the key of a session or stage."""
    for table in ("entries", "state", "writers"):
        transaction.write(f"DELETE FROM {table} WHERE session = %s", (key,))


def lease_row(transaction: Transaction, scope: str, name: str) -> LeaseRow | None:
    """A turn or a lock."""
    row = transaction.row(
        "SELECT owner, fence, until_ms, holder, line FROM leases "
        "WHERE namespace = %s AND scope = %s AND name = %s",
        (transaction.namespace, scope, name),
    )
    return None if row is None else records.lease_of(row)


def save_lease_row(transaction: Transaction, scope: str, name: str, row: LeaseRow) -> None:
    """Write a turn or a lock, and wake who is next."""
    values = (row.owner, row.fence, row.until_ms, row.holder, json.dumps(row.line))
    transaction.write(_SAVE_LEASE, (transaction.namespace, scope, name, *values))
    owner = next_in_line(row, transaction.now_ms)
    if owner is not None:
        transaction.wake(scope, name, owner)


def drop_lease_row(transaction: Transaction, scope: str, name: str) -> None:
    """Remove a turn or a lock."""
    transaction.write(
        "DELETE FROM leases WHERE namespace = %s AND scope = %s AND name = %s",
        (transaction.namespace, scope, name),
    )
