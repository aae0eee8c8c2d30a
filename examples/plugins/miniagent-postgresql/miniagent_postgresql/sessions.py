"""Commits, reads, turns, locks and walks over sessions, each inside one transaction."""

from __future__ import annotations

import os

from miniagent_postgresql.rows import SqlRows, lease_row, save_lease_row
from miniagent_postgresql.transaction import Transaction
from miniagent_store.backend import (
    Commit,
    CommitResult,
    LeaseGrant,
    LeaseHeld,
    LeaseRequest,
    ReadPlan,
    ReadResult,
    Record,
    Rewrite,
    RewriteResult,
)
from miniagent_store.rules import (
    acquire_lease,
    acquire_turn,
    apply_commit,
    apply_rewrite,
    live_record,
    read_plan,
    release_lease,
    renew_lease,
    touched,
)

GUARD_BYTES = 8


def commit(transaction: Transaction, wanted: Commit) -> CommitResult:
    """See `Backend.commit`."""
    rows = SqlRows(transaction, wanted.session_id, writer=wanted.identity.writer)
    return apply_commit(rows, wanted, transaction.now_ms)


def read(transaction: Transaction, plan: ReadPlan) -> ReadResult:
    """See `Backend.read`."""
    return read_plan(SqlRows(transaction, plan.session_id, locked=False), plan, transaction.now_ms)


def touch(transaction: Transaction, session_id: str, ttl_ms: int | None, keep_ttl: bool) -> Record:
    """See `Backend.touch`."""
    rows = SqlRows(transaction, session_id)
    guard = os.urandom(GUARD_BYTES)
    record = touched(rows, session_id, ttl_ms, keep_ttl, guard, transaction.now_ms)
    rows.save_record(record)
    return record


def delete(transaction: Transaction, session_id: str, incarnation: str | None) -> bool:
    """See `Backend.delete`. What has expired is left to the sweep, which tells of it."""
    rows = SqlRows(transaction, session_id)
    record = live_record(rows, transaction.now_ms)
    if record is None or (incarnation is not None and record.incarnation != incarnation):
        return False
    rows.drop()
    rows.leave_trace(record)
    return True


def acquire(transaction: Transaction, request: LeaseRequest) -> LeaseGrant | LeaseHeld:
    """See `Backend.acquire`."""
    if request.scope == "turn":
        return acquire_turn(SqlRows(transaction, request.name), request, transaction.now_ms)
    before = lease_row(transaction, request.scope, request.name)
    row, answer = acquire_lease(before, request, transaction.now_ms)
    if row != before:
        save_lease_row(transaction, request.scope, request.name, row)
    return answer


def renew(transaction: Transaction, request: LeaseRequest, fence: int) -> bool:
    """See `Backend.renew`."""
    standing = lease_row(transaction, request.scope, request.name)
    row = renew_lease(standing, request, fence, transaction.now_ms)
    if row is not None:
        save_lease_row(transaction, request.scope, request.name, row)
    return row is not None


def release(transaction: Transaction, request: LeaseRequest, fence: int) -> bool:
    """See `Backend.release`."""
    standing = lease_row(transaction, request.scope, request.name)
    row = release_lease(standing, request, fence, transaction.now_ms)
    if row is not None:
        save_lease_row(transaction, request.scope, request.name, row)
    return row is not None


def rewrite(transaction: Transaction, wanted: Rewrite) -> RewriteResult:
    """See `Backend.rewrite`."""
    return apply_rewrite(SqlRows(transaction, wanted.session_id), wanted, transaction.now_ms)


def kinds(transaction: Transaction) -> list[str]:
    """See `Backend.kinds`. From one to the next by the index: there are few."""
    found: list[str] = []
    while True:
        row = transaction.row(
            "SELECT min(kind) FROM sessions WHERE namespace = %s AND kind > %s",
            (transaction.namespace, found[-1] if found else ""),
        )
        if row is None or row[0] is None:
            return found
        found.append(row[0])


def session_ids(
    transaction: Transaction, kind: str, cursor: str | None, limit: int
) -> tuple[list[str], str | None]:
    """See `Backend.session_ids`. In order of ids, which nothing changes."""
    rows = transaction.rows(
        "SELECT id FROM sessions WHERE namespace = %s AND id > %s AND kind = %s ORDER BY id LIMIT %s",
        (transaction.namespace, cursor or "", kind, limit + 1),
    )
    ids: list[str] = [session_id for (session_id,) in rows[:limit]]
    return ids, ids[-1] if len(rows) > limit else None
