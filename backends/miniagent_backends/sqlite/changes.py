"""Which sessions changed: the ticket of its last change stands in each record."""

from __future__ import annotations

import heapq
from operator import itemgetter

from miniagent_backends.sqlite.transaction import Transaction, now_ms
from miniagent_store.backend import Change
from miniagent_store.errors import InvalidArgumentError
from miniagent_store.rules import is_expired

_CHANGED = (
    "SELECT changed, id, kind, user_id, version, expires_ms FROM sessions INDEXED BY sessions_changed "
    "WHERE namespace = ? AND changed > ? ORDER BY changed LIMIT ?"
)
# What is gone has expired at the beginning of time.
_GONE = (
    "SELECT changed, id, kind, user_id, version, 0 FROM gone "
    "WHERE namespace = ? AND changed > ? ORDER BY changed LIMIT ?"
)


def changes(transaction: Transaction, after: str | None, limit: int) -> tuple[list[Change], str]:
    """See `Backend.changes`. A cursor is a ticket."""
    last = transaction.last_ticket()
    if after is None:
        return [], str(last)
    if not after.isdecimal():
        raise InvalidArgumentError("not a cursor of changes: pass one that changes() gave")
    cursor = int(after)
    if cursor > last:
        # The file was put back to an older state: what changed since cannot be known, so all is told.
        cursor = 0
    now = now_ms()
    values = (transaction.namespace, cursor, limit)
    rows = heapq.merge(
        transaction.execute(_CHANGED, values), transaction.execute(_GONE, values), key=itemgetter(0)
    )
    found: list[Change] = []
    for changed, session_id, kind, user_id, version, expires_ms in rows:
        if len(found) == limit:
            break
        found.append(Change(session_id, kind, user_id, version, is_expired(expires_ms, now)))
        cursor = changed
    return found, str(cursor)
