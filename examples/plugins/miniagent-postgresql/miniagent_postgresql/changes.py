"""Which sessions changed: each row has the transaction of its last change.

Transactions end in another order than they begin in. So what is told lies below the oldest one that still
runs: nothing can appear there any more. What lies above is told as soon as that one has ended.
"""

from __future__ import annotations

from miniagent_postgresql.transaction import Transaction
from miniagent_store.backend import Change
from miniagent_store.errors import InvalidArgumentError

_COLUMNS = "changed, id, kind, user_id, version"
_RANGE = (
    "WHERE namespace = %s AND changed > %s::xid8 AND changed < pg_snapshot_xmin(pg_current_snapshot()) "
    "ORDER BY changed FETCH FIRST %s ROWS WITH TIES"
)
# A transaction that changed several sessions is told as a whole, so that its id is a cursor.
_CHANGES = (
    f"SELECT changed::text, id, kind, user_id, version, deleted FROM ("
    f"(SELECT {_COLUMNS}, coalesce(expires_ms <= %s, false) AS deleted FROM sessions {_RANGE}) UNION ALL "
    f"(SELECT {_COLUMNS}, true FROM gone {_RANGE})) AS found "
    "ORDER BY found.changed FETCH FIRST %s ROWS WITH TIES"
)
_HIDDEN = (
    "SELECT EXISTS (SELECT 1 FROM {} WHERE namespace = %s "
    "AND changed >= pg_snapshot_xmin(pg_current_snapshot()))"
)


def changes(
    transaction: Transaction, after: str | None, limit: int
) -> tuple[tuple[list[Change], str], bool]:
    """See `Backend.changes`; and whether there are changes that cannot be told yet.

    A cursor is a transaction.
    """
    horizon = transaction.number("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    if after is None:
        return ([], str(horizon - 1)), False
    if not after.isdecimal():
        raise InvalidArgumentError("not a cursor of changes: pass one that changes() gave")
    # Above what there can be, the database was put back to an older state: all is told.
    cursor = after if int(after) < horizon else "0"
    here = (transaction.namespace, cursor, limit)
    rows = transaction.rows(_CHANGES, (transaction.now_ms, *here, *here, limit))
    found = [Change(*row[1:]) for row in rows]
    hidden = any(
        transaction.rows(_HIDDEN.format(table), (transaction.namespace,))[0][0]
        for table in ("sessions", "gone")
    )
    return (found, rows[-1][0] if rows else cursor), hidden
