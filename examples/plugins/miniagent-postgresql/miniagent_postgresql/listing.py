"""Pages of sessions by last activity, each answered from an index, and counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from miniagent_postgresql.records import COLUMNS, record_of
from miniagent_postgresql.transaction import Transaction
from miniagent_store.backend import BackendStats, ListQuery, ListResult

_LIVE = "(expires_ms IS NULL OR expires_ms > %s)"


def list_sessions(transaction: Transaction, query: ListQuery) -> ListResult:
    """See `Backend.list`."""
    condition, values = _condition(transaction, query)
    if query.cursor is not None:
        condition += f" AND (last_activity_ms, id) {'>' if query.ascending else '<'} (%s, %s)"
        values = [*values, *query.cursor]
    order = "ASC" if query.ascending else "DESC"
    rows = transaction.rows(
        f"SELECT {COLUMNS} FROM sessions WHERE {condition} "
        f"ORDER BY last_activity_ms {order}, id {order} LIMIT %s",
        (*values, query.limit + 1),
    )
    records = tuple(record_of(row) for row in rows[: query.limit])
    if len(rows) <= query.limit:
        return ListResult(records, None)
    return ListResult(records, (records[-1].last_activity_ms, records[-1].session_id))


def count(transaction: Transaction, query: ListQuery) -> int:
    """See `Backend.count`."""
    condition, values = _condition(transaction, query)
    return transaction.number(f"SELECT count(*) FROM sessions WHERE {condition}", values)


def _condition(transaction: Transaction, query: ListQuery) -> tuple[str, Sequence[Any]]:
    conditions = ["namespace = %s", "kind = %s", _LIVE]
    values: list[Any] = [transaction.namespace, query.kind, transaction.now_ms]
    for column, value in (("user_id", query.user_id), ("agent", query.agent)):
        if value is not None:
            conditions.append(f"{column} = %s")
            values.append(value)
    if query.tags:
        conditions.append("tags @> %s::text[]")
        values.append(list(query.tags))
    return " AND ".join(conditions), values


def stats(transaction: Transaction) -> BackendStats:
    """See `Backend.stats`. It looks at all sessions: a count that is kept is a row all writers wait for."""
    here = (transaction.namespace, transaction.now_ms)
    kinds = transaction.rows(
        "SELECT kind, count(*), sum(messages)::bigint, sum(size)::bigint FROM sessions "
        f"WHERE namespace = %s AND {_LIVE} GROUP BY kind",
        here,
    )
    talks = f"FROM sessions WHERE namespace = %s AND kind = 'session' AND {_LIVE}"
    users = transaction.number(f"SELECT count(DISTINCT user_id) {talks}", here)
    agents = transaction.rows(f"SELECT agent, count(*) {talks} AND agent IS NOT NULL GROUP BY agent", here)
    return BackendStats(
        sessions={kind: number for kind, number, _, _ in kinds},
        messages=sum(messages for _, _, messages, _ in kinds),
        size=sum(size for _, _, _, size in kinds),
        users=users,
        agents=dict(agents),  # pyright: ignore
    )
