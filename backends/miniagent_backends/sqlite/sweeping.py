"""Reclaiming what has expired, a little in each transaction so that commits go on in between."""

from __future__ import annotations

from typing import NamedTuple

from miniagent_backends.sqlite.rows import SqlRows
from miniagent_backends.sqlite.staging import drop_stage
from miniagent_backends.sqlite.transaction import Transaction, now_ms
from miniagent_store.backend import Expired

# One step takes no more sessions than this, and none after it has taken so many entries.
STEP_SESSIONS, STEP_ENTRIES = 50, 2_000
STEP_ROWS = 500
# How long is kept: leases, for their fences; traces of what is gone, for who follows changes; stages, so
# that a part that comes late finds that its stage is gone.
KEEP_MS = 3_600_000


class Step(NamedTuple):
    """What a step did, and whether there is more to do."""

    expired: list[Expired]
    more: bool


def sweep_sessions(transaction: Transaction, limit: int) -> Step:
    """Remove some expired sessions."""
    now = now_ms()
    limit = min(limit, STEP_SESSIONS)
    ids = transaction.execute(
        "SELECT id FROM sessions WHERE namespace = ? AND expires_ms <= ? ORDER BY expires_ms LIMIT ?",
        (transaction.namespace, now, limit),
    ).fetchall()
    expired: list[Expired] = []
    entries = 0
    for (session_id,) in ids:
        rows = SqlRows(transaction, session_id)
        record = rows.record()
        assert record is not None, "selected in this transaction"
        rows.drop()
        rows.leave_trace(record, now)
        expired.append(Expired(session_id, record.kind, record.user_id))
        entries += sum(tail.count for tail in record.logs.values())
        if entries >= STEP_ENTRIES:
            break
    return Step(expired, more=len(ids) == limit or len(expired) < len(ids))


def sweep_values(transaction: Transaction, limit: int = STEP_ROWS) -> Step:
    """Remove expired values of sessions that live, and their weight."""
    rows = transaction.execute(
        "SELECT state.rowid, sessions.key, coalesce(length(payload), 0) FROM state "
        "JOIN sessions ON sessions.key = state.session "
        "WHERE state.expires_ms <= ? AND sessions.namespace = ? LIMIT ?",
        (now_ms(), transaction.namespace, limit),
    ).fetchall()
    for rowid, key, weight in rows:
        transaction.execute("DELETE FROM state WHERE rowid = ?", (rowid,))
        transaction.execute("UPDATE sessions SET size = size - ? WHERE key = ?", (weight, key))
    return Step([], more=len(rows) == limit)


def sweep_stages(transaction: Transaction, limit: int = 1) -> Step:
    """Drop stages whose time was up long ago."""
    keys = transaction.execute(
        "SELECT key FROM stages WHERE namespace = ? AND expires_ms <= ? LIMIT ?",
        (transaction.namespace, now_ms() - KEEP_MS, limit),
    ).fetchall()
    for (key,) in keys:
        drop_stage(transaction, key)
    return Step([], more=len(keys) == limit)


def sweep_rest(transaction: Transaction, limit: int = STEP_ROWS) -> Step:
    """Remove old leases, cached values, rates, and traces of sessions that are gone."""
    now = now_ms()
    more = False
    for table, key, expiry, before in (
        ("leases", "scope, name", "until_ms", now - KEEP_MS),
        ("cache", "key", "expires_ms", now),
        ("rates", "key, algorithm", "expires_ms", now),
        ("gone", "id", "time_ms", now - KEEP_MS),
    ):
        removed = transaction.execute(
            f"DELETE FROM {table} WHERE namespace = ? AND ({key}) IN "
            f"(SELECT {key} FROM {table} WHERE namespace = ? AND {expiry} <= ? LIMIT ?)",
            (transaction.namespace, transaction.namespace, before, limit),
        ).rowcount
        more = more or removed == limit
    return Step([], more)
