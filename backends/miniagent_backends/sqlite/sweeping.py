"""Reclaiming what has expired, a little in each transaction so that commits go on in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from miniagent_backends.sqlite.counts import Difference
from miniagent_backends.sqlite.rows import SqlRows, drop_lease_row
from miniagent_backends.sqlite.staging import drop_stage
from miniagent_backends.sqlite.transaction import Transaction, now_ms
from miniagent_store.backend import Expired
from miniagent_store.rules import is_to_finish, is_turn_over

# One step takes no more sessions than this, and none after it has taken so many entries.
STEP_SESSIONS, STEP_ENTRIES = 50, 2_000
STEP_ROWS = 500
# How long is kept: leases, for their fences; stages, so that a part that comes late finds that its stage is
# gone; and traces of what is gone, for who follows changes.
KEEP_MS, KEEP_GONE_MS = 3_600_000, 60_000


class Step(NamedTuple):
    """What a step did, and whether there is more to do."""

    done: int
    more: bool


def claim_sessions(transaction: Transaction, limit: int, claim_ms: int) -> list[Expired]:
    """See `Backend.claim_expired`."""
    now = now_ms()
    rows = transaction.execute(
        "SELECT key, id, kind, user_id, incarnation FROM sessions INDEXED BY sessions_expiry "
        "WHERE namespace = ? AND expires_ms <= ? AND claimed_ms <= ? ORDER BY expires_ms LIMIT ?",
        (transaction.namespace, now, now, limit),
    ).fetchall()
    transaction.executemany(
        "UPDATE sessions SET claimed_ms = ? WHERE key = ?", ((now + claim_ms, key) for key, *_ in rows)
    )
    return [Expired(*row[1:]) for row in rows]


def finish_sessions(transaction: Transaction, expired: Sequence[Expired]) -> Step:
    """Remove the first of some sessions that were claimed."""
    now, entries, done = now_ms(), 0, 0
    for each in expired[:STEP_SESSIONS]:
        if entries >= STEP_ENTRIES:
            break
        done += 1
        rows = SqlRows(transaction, each.session_id)
        record = rows.record()
        if record is None or not is_to_finish(record, each, now):
            continue
        rows.drop()
        rows.leave_trace(record, now)
        if is_turn_over(rows.turn(), now):
            drop_lease_row(transaction, "turn", each.session_id)
        entries += sum(tail.count for tail in record.logs.values())
    return Step(done, more=done < len(expired))


def sweep_values(transaction: Transaction, limit: int = STEP_ROWS) -> Step:
    """Remove expired values of sessions that live, and their weight."""
    rows = transaction.execute(
        "SELECT state.rowid, sessions.key, kind, coalesce(length(payload), 0) FROM state "
        "JOIN sessions ON sessions.key = state.session "
        "WHERE state.expires_ms <= ? AND sessions.namespace = ? LIMIT ?",
        (now_ms(), transaction.namespace, limit),
    ).fetchall()
    if rows and transaction.known is not None:
        transaction.known.forget()  # of their sizes
    for rowid, key, kind, weight in rows:
        transaction.execute("DELETE FROM state WHERE rowid = ?", (rowid,))
        transaction.execute("UPDATE sessions SET size = size - ? WHERE key = ?", (weight, key))
        transaction.counted.append(Difference(transaction.namespace, kind, None, None, 0, 0, -weight))
    return Step(0, more=len(rows) == limit)


def sweep_stages(transaction: Transaction, limit: int = 1) -> Step:
    """Drop stages whose time was up long ago."""
    keys = transaction.execute(
        "SELECT key FROM stages WHERE namespace = ? AND expires_ms <= ? LIMIT ?",
        (transaction.namespace, now_ms() - KEEP_MS, limit),
    ).fetchall()
    for (key,) in keys:
        drop_stage(transaction, key)
    return Step(0, more=len(keys) == limit)


def sweep_rest(transaction: Transaction, limit: int = STEP_ROWS) -> Step:
    """Remove old leases, cached values, rates, and traces of sessions that are gone."""
    now = now_ms()
    more = False
    for table, key, expiry, before in (
        ("leases", "scope, name", "until_ms", now - KEEP_MS),
        ("cache", "key", "expires_ms", now),
        ("rates", "key, algorithm", "expires_ms", now),
        ("gone", "id", "time_ms", now - KEEP_GONE_MS),
    ):
        removed = transaction.execute(
            f"DELETE FROM {table} WHERE namespace = ? AND ({key}) IN "
            f"(SELECT {key} FROM {table} WHERE namespace = ? AND {expiry} <= ? LIMIT ?)",
            (transaction.namespace, transaction.namespace, before, limit),
        ).rowcount
        more = more or removed == limit
    return Step(0, more)
