"""Turns and locks."""

from __future__ import annotations

from dataclasses import replace

from miniagent_backends.sqlite.rows import SqlRows, lease_row, save_lease_row
from miniagent_backends.sqlite.sessions import with_new_guard
from miniagent_backends.sqlite.transaction import Transaction, now_ms
from miniagent_store.backend import LeaseGrant, LeaseHeld, LeaseRequest, ReadResult
from miniagent_store.rules import acquire_lease, read_plan, release_lease, renew_lease
from miniagent_store.rules.rows import live_record


def acquire(transaction: Transaction, request: LeaseRequest) -> LeaseGrant | LeaseHeld:
    """See `Backend.acquire`."""
    now = now_ms()
    rows = SqlRows(transaction, request.name)
    record = live_record(rows, now) if request.scope == "turn" else None
    if request.must_exist and record is None:
        return LeaseGrant(0, now, ReadResult(None))
    answer = acquire_lease(
        lease_row(transaction, request.scope, request.name),
        request,
        now,
        record_fence=record.fence if record else 0,
    )
    if isinstance(answer, LeaseHeld):
        return answer
    row, grant = answer
    save_lease_row(transaction, request.scope, request.name, row)
    if record is not None and record.fence < grant.fence:
        # A new owner: whoever had the turn before can no longer commit, even if nobody else does.
        rows.save_record(replace(record, fence=grant.fence, token=with_new_guard(record.token)))
    if request.plan is None:
        return grant
    plan = request.plan
    of_plan = rows if plan.session_id == request.name else SqlRows(transaction, plan.session_id)
    return replace(grant, read=read_plan(of_plan, plan, now))


def renew(transaction: Transaction, request: LeaseRequest, fence: int) -> bool:
    """See `Backend.renew`."""
    standing = lease_row(transaction, request.scope, request.name)
    row = renew_lease(standing, request, fence, now_ms())
    if row is not None:
        save_lease_row(transaction, request.scope, request.name, row)
    return row is not None


def release(transaction: Transaction, request: LeaseRequest, fence: int) -> bool:
    """See `Backend.release`."""
    standing = lease_row(transaction, request.scope, request.name)
    row = release_lease(standing, request, fence, now_ms())
    if row is None:
        return False
    save_lease_row(transaction, request.scope, request.name, row)
    if request.scope == "turn":
        transaction.wake_session(request.name, changed=False)
    else:
        transaction.wake_lock(request.name)
    return True
