"""Sessions that are put together out of sight, under the key that they will have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from miniagent_postgresql.records import pack_tails, tails_of
from miniagent_postgresql.rows import SqlRows, add_entries, put_value, remove_parts
from miniagent_postgresql.transaction import Transaction
from miniagent_store.backend import CommitResult, LogTail, StagePublish, StageWrite, StoredEntry
from miniagent_store.errors import (
    BackendUnavailableError,
    InvalidArgumentError,
    SessionExistsError,
    shorten,
)
from miniagent_store.rules import publish_stage


@dataclass(slots=True)
class _Stage:
    key: int
    expires_ms: int
    size: int
    tails: dict[str, LogTail]


def stage(transaction: Transaction, write: StageWrite) -> None:
    """See `Backend.stage`.

    Raises:
        BackendUnavailableError: the stage's time was up.
    """
    now = transaction.now_ms
    standing = _find(transaction, write.session_id, write.stage)
    if standing is not None and standing.expires_ms <= now:
        raise BackendUnavailableError(
            f"what was staged for session {shorten(write.session_id)!r} is gone, in whole or in part: "
            "its time was up; nothing was changed; do it again"
        )
    staged = standing or _Stage(transaction.new_key(), 0, 0, {})
    for log, entries in write.entries:
        staged.tails[log] = _follow(write.session_id, log, staged.tails.get(log), entries)
        staged.size += sum(len(entry.payload) for entry in entries)
        _refuse_twice(transaction, write.session_id, staged.key, log, entries)
        if entries:
            add_entries(transaction, staged.key, log, entries)
    for value in write.values:
        old = transaction.row(
            "SELECT octet_length(payload) FROM state WHERE session = %s AND name = %s",
            (staged.key, value.name),
        )
        staged.size += len(value.payload or b"") - int(old[0] or 0 if old else 0)
        put_value(transaction, staged.key, value)
    transaction.write(
        "INSERT INTO stages (key, namespace, session_id, stage, expires_ms, size, logs) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (key) DO UPDATE SET "
        "expires_ms = excluded.expires_ms, size = excluded.size, logs = excluded.logs",
        (
            staged.key,
            transaction.namespace,
            write.session_id,
            write.stage,
            now + write.ttl_ms,
            staged.size,
            pack_tails(staged.tails),
        ),
    )


def publish(transaction: Transaction, wanted: StagePublish) -> CommitResult | SessionExistsError:
    """See `Backend.publish`. That the id is taken is returned, since dropping the stage is to last."""
    now = transaction.now_ms
    staged = _find(transaction, wanted.session_id, wanted.stage)
    if staged is not None and staged.expires_ms <= now:
        staged = None
    rows = SqlRows(
        transaction,
        wanted.session_id,
        writer=wanted.identity.writer,
        new_key=staged.key if staged else None,
    )
    tails = _published_tails(wanted, staged.tails) if staged else None
    try:
        result = publish_stage(rows, wanted, tails, staged.size if staged else 0, now)
    except SessionExistsError as error:
        discard(transaction, wanted.session_id, wanted.stage)
        return error
    if staged is not None and result.created:
        transaction.write("DELETE FROM stages WHERE key = %s", (staged.key,))
    return result


def discard(transaction: Transaction, session_id: str, stage: str) -> None:
    """See `Backend.discard`."""
    staged = _find(transaction, session_id, stage)
    if staged is not None:
        drop_stage(transaction, staged.key)


def drop_stage(transaction: Transaction, key: int) -> None:
    """Remove a stage and what it holds."""
    remove_parts(transaction, key)
    transaction.write("DELETE FROM stages WHERE key = %s", (key,))


def _find(transaction: Transaction, session_id: str, stage: str) -> _Stage | None:
    row = transaction.row(
        "SELECT key, expires_ms, size, logs FROM stages "
        "WHERE namespace = %s AND session_id = %s AND stage = %s",
        (transaction.namespace, session_id, stage),
    )
    if row is None:
        return None
    key, expires_ms, size, logs = row
    return _Stage(key, expires_ms, size, tails_of(logs))


def _refuse_twice(
    transaction: Transaction, session_id: str, key: int, log: str, entries: Sequence[StoredEntry]
) -> None:
    ids = [entry.caller_id for entry in entries if entry.caller_id is not None]
    if not ids:
        return
    standing = transaction.number(
        "SELECT count(*) FROM entries WHERE session = %s AND log = %s AND caller_id = ANY(%s::text[])",
        (key, log, ids),
    )
    if standing or len(set(ids)) < len(ids):
        raise InvalidArgumentError(
            f"log {log!r} of a stage of session {shorten(session_id)!r} was given a caller's id twice"
        )


def _follow(session_id: str, log: str, tail: LogTail | None, entries: Sequence[StoredEntry]) -> LogTail:
    """The extent of a staged log with `entries` added."""
    if tail is None:
        tail = LogTail(entries[0].seq - 1 if entries else 0)
    for seq, entry in enumerate(entries, tail.last + 1):
        if entry.seq != seq:
            raise InvalidArgumentError(
                f"log {log!r} of a stage of session {shorten(session_id)!r} "
                f"goes on at {seq}, not at {entry.seq}"
            )
    return LogTail(tail.base, tail.count + len(entries))


def _published_tails(wanted: StagePublish, staged: dict[str, LogTail]) -> dict[str, LogTail] | None:
    """Extents of the logs; None if the first entries of one are gone with an earlier stage."""
    tails = {log: LogTail(base) for log, base in wanted.bases.items()}
    for log, tail in staged.items():
        if tail.count:
            if tail.base != wanted.bases.get(log, 0):
                return None
            tails[log] = tail
    return tails
