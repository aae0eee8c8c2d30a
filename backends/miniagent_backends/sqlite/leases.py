"""Turns and locks."""

from __future__ import annotations

from miniagent_backends.sqlite.rows import SqlRows, lease_row, save_lease_row, standing_lease_rows
from miniagent_backends.sqlite.transaction import Transaction, now_ms
from miniagent_store.backend import LeaseGrant, LeaseHeld, LeaseRequest
from miniagent_store.rules import acquire_lease, acquire_turn, count_leases, release_lease, renew_lease


def acquire(transaction: Transaction, request: LeaseRequest) -> LeaseGrant | LeaseHeld:
    """See `Backend.acquire`."""
    if request.scope == "turn":
        return acquire_turn(SqlRows(transaction, request.name), request, now_ms())
    before = lease_row(transaction, request.scope, request.name)
    row, answer = acquire_lease(before, request, now_ms())
    if row != before:
        save_lease_row(transaction, request.scope, request.name, row)
    return answer


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
    if row is not None:
        save_lease_row(transaction, request.scope, request.name, row)
    return row is not None


def count(transaction: Transaction) -> dict[str, int]:
    """How many are held and waited for; see `count_leases`."""
    now = now_ms()
    return count_leases(standing_lease_rows(transaction, now), now)
