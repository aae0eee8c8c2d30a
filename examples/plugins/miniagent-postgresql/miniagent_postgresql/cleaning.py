"""Reclaiming what has expired, and removing a namespace: a little in each transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from miniagent_postgresql.rows import SqlRows, drop_lease_row
from miniagent_postgresql.schema import NAMESPACED
from miniagent_postgresql.staging import drop_stage
from miniagent_postgresql.transaction import Transaction
from miniagent_store.backend import Expired
from miniagent_store.rules import is_to_finish, is_turn_over, start_of_tenants

STEP_ROWS = 500
# How long is kept: leases, for their fences; stages, so that a part that comes late finds that its stage is
# gone; and traces of what is gone, for who follows changes.
KEEP_MS, KEEP_GONE_MS = 3_600_000, 60_000


def claim_sessions(transaction: Transaction, limit: int, claim_ms: int) -> list[Expired]:
    """See `Backend.claim_expired`. What a commit is about to replace is locked, and passed over."""
    now = transaction.now_ms
    rows = transaction.changed(
        "UPDATE sessions SET claimed_ms = %s WHERE key IN (SELECT key FROM sessions "
        "WHERE namespace = %s AND expires_ms <= %s AND claimed_ms <= %s ORDER BY expires_ms LIMIT %s "
        "FOR NO KEY UPDATE SKIP LOCKED) RETURNING id, kind, user_id, incarnation",
        (now + claim_ms, transaction.namespace, now, now, limit),
    )
    return [Expired(*row) for row in rows]


def finish_session(transaction: Transaction, expired: Expired) -> None:
    """Remove a session that was claimed, under its lock."""
    rows = SqlRows(transaction, expired.session_id)
    record, now = rows.record(), transaction.now_ms
    if record is None or not is_to_finish(record, expired, now):
        return
    rows.drop()
    rows.leave_trace(record)
    if is_turn_over(rows.turn(), now):
        drop_lease_row(transaction, "turn", expired.session_id)


def sessions_with_expired_values(transaction: Transaction) -> list[str]:
    """Ids of some."""
    rows = transaction.rows(
        "SELECT DISTINCT sessions.id FROM state JOIN sessions ON sessions.key = state.session "
        "WHERE state.expires_ms <= %s AND sessions.namespace = %s LIMIT %s",
        (transaction.now_ms, transaction.namespace, STEP_ROWS),
    )
    return [session_id for (session_id,) in rows]


def sweep_values(transaction: Transaction, session_id: str) -> None:
    """Remove the expired values of a session, and their weight, under its lock."""
    rows = SqlRows(transaction, session_id)
    record, now = rows.record(), transaction.now_ms
    if record is None:
        return
    removed = transaction.changed(
        "WITH gone AS (DELETE FROM state USING sessions WHERE state.session = sessions.key "
        "AND sessions.namespace = %s AND sessions.id = %s AND state.expires_ms <= %s "
        "RETURNING coalesce(octet_length(payload), 0) AS size) "
        "SELECT coalesce(sum(size), 0)::bigint FROM gone",
        (transaction.namespace, session_id, now),
    )
    rows.save_record(replace(record, size=record.size - int(removed[0][0])))


def old_stages(transaction: Transaction) -> list[tuple[str, int]]:
    """Session ids and keys of some stages whose time was up long ago."""
    rows = transaction.rows(
        "SELECT session_id, key FROM stages WHERE namespace = %s AND expires_ms <= %s LIMIT %s",
        (transaction.namespace, transaction.now_ms - KEEP_MS, STEP_ROWS),
    )
    return [(session_id, key) for session_id, key in rows]


def sweep_rest(transaction: Transaction) -> bool:
    """Remove old leases, cached values, rates, and traces of what is gone; whether there are more."""
    now = transaction.now_ms
    more = False
    for table, expiry, before in (
        ("leases", "until_ms", now - KEEP_MS),
        ("cache", "expires_ms", now),
        ("rates", "expires_ms", now),
        ("gone", "time_ms", now - KEEP_GONE_MS),
    ):
        old = (f"{expiry} <= %s", [before])
        more = _remove_some(transaction, table, STEP_ROWS, *old) == STEP_ROWS or more
    return more


# A namespace


def some_sessions(transaction: Transaction, limit: int) -> list[str]:
    """Ids of sessions, in any order."""
    rows = transaction.rows(
        "SELECT id FROM sessions WHERE namespace = %s LIMIT %s", (transaction.namespace, limit)
    )
    return [session_id for (session_id,) in rows]


def erase_session(transaction: Transaction, session_id: str) -> int:
    """Remove a session, expired or not, under its lock; how many there were."""
    rows = SqlRows(transaction, session_id)
    if rows.record() is None:
        return 0
    rows.drop()
    transaction.wake("session", session_id)
    transaction.wake("store")
    return 1


def erase_stages(transaction: Transaction, limit: int) -> int:
    """Remove some stages; how many."""
    rows = transaction.rows(
        "SELECT key FROM stages WHERE namespace = %s LIMIT %s", (transaction.namespace, limit)
    )
    for (key,) in rows:
        drop_stage(transaction, key)
    return len(rows)


def erase_rest(transaction: Transaction, limit: int) -> dict[str, int]:
    """Remove some rows of all that is no session and no stage; how many of each table."""
    removed: dict[str, int] = {}
    for table in NAMESPACED:
        if table not in ("sessions", "stages"):
            removed[table] = _remove_some(transaction, table, limit - sum(removed.values()))
            if sum(removed.values()) >= limit:
                break
    return removed


def namespaces(transaction: Transaction, cursor: str | None, limit: int) -> tuple[list[str], str | None]:
    """See `Backend.namespaces`. Each index is leapt through, so that rows do not count, but names."""
    start = start_of_tenants(transaction.namespace)
    found: list[str] = []
    after = start if cursor is None else cursor
    while len(found) < limit:
        lowest = " UNION ALL ".join(
            f"SELECT min(namespace) AS namespace FROM {table} WHERE namespace > %s" for table in NAMESPACED
        )
        row = transaction.row(f"SELECT min(namespace) FROM ({lowest}) AS each", (after,) * len(NAMESPACED))
        if row is None or row[0] is None or not row[0].startswith(start):
            return found, None
        after = row[0]
        found.append(after)
    return found, after


def _remove_some(
    transaction: Transaction, table: str, limit: int, condition: str = "true", values: Sequence[Any] = ()
) -> int:
    key = NAMESPACED[table]
    return transaction.count(
        f"DELETE FROM {table} WHERE namespace = %s AND ({key}) IN "
        f"(SELECT {key} FROM {table} WHERE namespace = %s AND {condition} LIMIT %s FOR UPDATE SKIP LOCKED)",
        (transaction.namespace, transaction.namespace, *values, limit),
    )
