"""How turns and locks are taken, kept and given back, and who is next."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from miniagent_store.backend import LeaseGrant, LeaseHeld, LeaseRequest, ReadResult
from miniagent_store.errors import BackendUnavailableError
from miniagent_store.rules.read import read_plan
from miniagent_store.rules.rows import LeaseRow, SessionRows, live_record

# How long the first in line has a free lease to itself before it is passed over.
CLAIM_MS = 2_000
LATE = "the request for a lease came after its not-after; nothing was taken"
Line = tuple[tuple[str, int], ...]


def acquire_lease(
    row: LeaseRow | None, request: LeaseRequest, now_ms: int, *, record_fence: int = 0
) -> tuple[LeaseRow, LeaseGrant | LeaseHeld]:
    """The row to save, where it is another than before, and the grant, or who has it.

    A fence is at least the server's time in ms, so that it rises even where rows were lost.

    Raises:
        BackendUnavailableError: the request came after its not-after.
    """
    if request.not_after_ms and now_ms > request.not_after_ms:
        raise BackendUnavailableError(LATE)
    row = row or LeaseRow("", 0, 0)
    line = _standing(row, now_ms)
    before = _place(line, request.owner)
    until_ms = now_ms + request.ttl_ms
    if row.owner == request.owner:
        fence = row.fence
    else:
        claim_ms = row.until_ms + before * CLAIM_MS - now_ms
        if row.is_held(now_ms) or (before and claim_ms > 0):
            held = LeaseHeld(
                (row.holder or "another holder") if row.is_held(now_ms) else "the next in line",
                max(row.until_ms - now_ms, 0),
                before,
                claim_ms,
            )
            return replace(row, line=_joined(line, before, request, now_ms)), held
        fence = max(row.fence + 1, record_fence + 1, now_ms)
        line = line[before + 1 :]
    return LeaseRow(request.owner, fence, until_ms, request.holder, line), LeaseGrant(fence, until_ms)


def acquire_turn(rows: SessionRows, request: LeaseRequest, now_ms: int) -> LeaseGrant | LeaseHeld:
    """Take a session's turn and read the request's plan, which is of the same session.

    A new owner's fence and guard are written into the record at once.
    """
    record, before = live_record(rows, now_ms), rows.turn()
    if record is None and request.must_exist:
        left = release_lease(before, request, 0, now_ms)
        if left is not None:
            rows.save_turn(left)
        return LeaseGrant(0, 0, ReadResult(None))
    row, answer = acquire_lease(before, request, now_ms, record_fence=record.fence if record else 0)
    if row != before:
        rows.save_turn(row)
    if isinstance(answer, LeaseHeld):
        return answer
    if record is not None and record.fence < row.fence:
        rows.save_record(replace(record, fence=row.fence, token=record.token[:16] + os.urandom(8)))
    return replace(answer, read=read_plan(rows, request.plan, now_ms)) if request.plan else answer


def renew_lease(row: LeaseRow | None, request: LeaseRequest, fence: int, now_ms: int) -> LeaseRow | None:
    """The row to save, or None if the lease is no longer the owner's."""
    if row is None or row.owner != request.owner or row.fence != fence or row.until_ms <= now_ms:
        return None
    return replace(row, until_ms=now_ms + request.ttl_ms)


def release_lease(row: LeaseRow | None, request: LeaseRequest, fence: int, now_ms: int) -> LeaseRow | None:
    """The row to save, or None if nothing of it is the owner's. Fence 0: the place in line, too."""
    if row is None:
        return None
    if row.owner == request.owner and fence in (0, row.fence):
        return freed(row, row.fence, now_ms)
    line = _standing(row, now_ms)
    place = _place(line, request.owner)
    if fence or place == len(line):
        return None
    left = replace(row, line=line[:place] + line[place + 1 :])
    # Who is first now has its whole time to come.
    return freed(left, row.fence, now_ms) if place == 0 and not row.is_held(now_ms) else left


def freed(row: LeaseRow | None, fence: int, now_ms: int) -> LeaseRow:
    """A lease that is let go now; who waits for it waits on."""
    return LeaseRow("", fence, now_ms, line=_standing(row, now_ms) if row else ())


def next_in_line(row: LeaseRow | None, now_ms: int) -> str | None:
    """The owner to be woken: the first in line for a lease that is free."""
    if row is None or row.is_held(now_ms):
        return None
    return next((owner for owner, _ in _standing(row, now_ms)), None)


def count_leases(rows: Iterable[LeaseRow], now_ms: int) -> dict[str, int]:
    """How many are held, how many of all are waited for, and by how many; for `Health.details`."""
    lines = [(row.is_held(now_ms), len(_standing(row, now_ms))) for row in rows]
    return {
        "held": sum(is_held for is_held, _ in lines),
        "waited_for": sum(waiting > 0 for _, waiting in lines),
        "waiting": sum(waiting for _, waiting in lines),
    }


def _standing(row: LeaseRow, now_ms: int) -> Line:
    return tuple(place for place in row.line if place[1] > now_ms)


def _place(line: Line, owner: str) -> int:
    """How many stand before an owner, or before one who comes last."""
    return next((at for at, place in enumerate(line) if place[0] == owner), len(line))


def _joined(line: Line, place: int, request: LeaseRequest, now_ms: int) -> Line:
    """The line with the owner's place in it, which is not written anew while it is good for a while."""
    until_ms = request.line_until_ms
    stands_until = line[place][1] if place < len(line) else now_ms
    if until_ms - now_ms <= 2 * (stands_until - now_ms) or until_ms <= now_ms:
        return line
    return (*line[:place], (request.owner, until_ms), *line[place + 1 :])
