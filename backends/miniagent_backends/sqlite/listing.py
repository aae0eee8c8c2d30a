"""Pages of sessions by last activity, each answered from an index."""

from __future__ import annotations

from typing import Any

from miniagent_backends.sqlite.records import CHANGING, COLUMNS, FIXED, record_of
from miniagent_backends.sqlite.transaction import Transaction, now_ms
from miniagent_store.backend import ListQuery, ListResult, Record
from miniagent_store.errors import SessionDamagedError

_NAMES = (*FIXED, *CHANGING)
_ID, _LAST_ACTIVITY = _NAMES.index("id"), _NAMES.index("last_activity_ms")


def list_sessions(transaction: Transaction, query: ListQuery) -> ListResult:
    """See `Backend.list`."""
    sql, values = statement(query, transaction.namespace, now_ms())
    rows = list(transaction.execute(sql, values))
    page = rows[: query.limit]
    records: list[Record] = []
    damaged: list[str] = []
    for row in page:
        try:
            records.append(record_of(row))
        except SessionDamagedError:
            if not query.skip_damaged:
                raise
            damaged.append(row[_ID])
    behind = (page[-1][_LAST_ACTIVITY], page[-1][_ID]) if len(rows) > query.limit else None
    return ListResult(tuple(records), behind, tuple(damaged))


def statement(query: ListQuery, namespace: str, now: int) -> tuple[str, list[Any]]:
    """The statement that reads one row more than the page has, and its values."""
    if query.tags:
        # The index of the first tag gives the order; the other tags are looked up in it.
        first, source = "tags", "tags JOIN sessions ON sessions.key = tags.session"
    elif query.user_id is not None:
        first, source = "sessions", "sessions INDEXED BY sessions_user"
    elif query.agent is not None:
        first, source = "sessions", "sessions INDEXED BY sessions_agent"
    else:
        first, source = "sessions", "sessions INDEXED BY sessions_activity"
    conditions = [f"{first}.namespace = ?", f"{first}.kind = ?"]
    values: list[Any] = [namespace, query.kind]
    for column, value in (("user_id", query.user_id), ("agent", query.agent)):
        if value is not None:
            conditions.append(f"sessions.{column} = ?")
            values.append(value)
    for number, tag in enumerate(query.tags):
        conditions.append("tags.tag = ?" if number == 0 else _HAS_TAG)
        values.append(tag)
    conditions.append("(sessions.expires_ms IS NULL OR sessions.expires_ms > ?)")
    values.append(now)
    if query.cursor is not None:
        conditions.append(
            f"({first}.last_activity_ms, {first}.id) {'>' if query.ascending else '<'} (?, ?)"
        )
        values += query.cursor
    order = "ASC" if query.ascending else "DESC"
    values.append(query.limit + 1)
    return (
        f"SELECT {COLUMNS} FROM {source} WHERE {' AND '.join(conditions)} "
        f"ORDER BY {first}.last_activity_ms {order}, {first}.id {order} LIMIT ?",
        values,
    )


_HAS_TAG = (
    "EXISTS (SELECT 1 FROM tags AS other WHERE other.namespace = tags.namespace AND other.kind = tags.kind "
    "AND other.tag = ? AND other.last_activity_ms = tags.last_activity_ms AND other.id = tags.id)"
)
