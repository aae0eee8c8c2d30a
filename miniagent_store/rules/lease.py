"""How turns and locks are taken, kept and given back."""

from __future__ import annotations

import os
from dataclasses import replace

from miniagent_store.backend import LeaseGrant, LeaseHeld, LeaseRequest, ReadResult
from miniagent_store.rules.read import read_plan
from miniagent_store.rules.rows import LeaseRow, SessionRows, live_record


def acquire_lease(
    row: LeaseRow | None, request: LeaseRequest, now_ms: int, *, record_fence: int = 0
) -> tuple[LeaseRow, LeaseGrant] | LeaseHeld:
    """The row to save and the grant, or who holds it.

    A fence is at least the server's time in ms, so that it rises even where rows were lost.
    """
    until_ms = now_ms + request.ttl_ms
    if row is not None and row.owner == request.owner:
        fence = row.fence
    elif row is not None and row.owner and row.until_ms > now_ms:
        return LeaseHeld(row.holder or "another holder", row.until_ms - now_ms)
    else:
        fence = max((row.fence if row else 0) + 1, record_fence + 1, now_ms)
    return LeaseRow(request.owner, fence, until_ms, request.holder), LeaseGrant(fence, until_ms)


def acquire_turn(rows: SessionRows, request: LeaseRequest, now_ms: int) -> LeaseGrant | LeaseHeld:
    """Take a session's turn and read the request's plan, which is of the same session.

    A new owner's fence and guard are written into the record at once.
    """
    record = live_record(rows, now_ms)
    if record is None and request.must_exist:
        return LeaseGrant(0, 0, ReadResult(None))
    answer = acquire_lease(rows.turn(), request, now_ms, record_fence=record.fence if record else 0)
    if isinstance(answer, LeaseHeld):
        return answer
    row, grant = answer
    rows.save_turn(row)
    if record is not None and record.fence < row.fence:
        rows.save_record(replace(record, fence=row.fence, token=record.token[:16] + os.urandom(8)))
    return replace(grant, read=read_plan(rows, request.plan, now_ms)) if request.plan else grant


def renew_lease(row: LeaseRow | None, request: LeaseRequest, fence: int, now_ms: int) -> LeaseRow | None:
    """The row to save, or None if the lease is no longer the owner's."""
    if row is None or row.owner != request.owner or row.fence != fence or row.until_ms <= now_ms:
        return None
    return replace(row, until_ms=now_ms + request.ttl_ms)


def release_lease(row: LeaseRow | None, request: LeaseRequest, fence: int, now_ms: int) -> LeaseRow | None:
    """The row to save, or None if the lease is not the owner's."""
    if row is None or row.owner != request.owner or row.fence != fence:
        return None
    return LeaseRow("", row.fence, now_ms)
