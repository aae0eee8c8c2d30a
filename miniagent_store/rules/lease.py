"""How turns and locks are taken, kept and given back."""

from __future__ import annotations

from dataclasses import replace

from miniagent_store.backend import LeaseGrant, LeaseHeld, LeaseRequest
from miniagent_store.rules.rows import LeaseRow


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
