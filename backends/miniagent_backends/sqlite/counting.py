"""Counts and statistics from what is kept of them, less what has expired and was not swept yet."""

from __future__ import annotations

import sys
from dataclasses import replace

from miniagent_backends.sqlite.listing import statement
from miniagent_backends.sqlite.transaction import Transaction, now_ms
from miniagent_store.backend import BackendStats, ListQuery

_HELD = "SELECT coalesce(sum(sessions), 0) FROM counts WHERE (namespace, kind, scope, name) = (?, ?, ?, ?)"
_EXPIRED = "FROM sessions INDEXED BY sessions_expiry WHERE namespace = ? AND expires_ms <= ?"


def count(transaction: Transaction, query: ListQuery) -> int:
    """See `Backend.count`."""
    if query.tags or (query.user_id is not None and query.agent is not None):
        every = replace(query, cursor=None, limit=sys.maxsize - 1)
        sql, values = statement(every, transaction.namespace, now_ms())
        (found,) = transaction.execute(f"SELECT count(*) FROM ({sql})", values).fetchone()
        return int(found)
    scope, name, condition, names = "all", "", "", list[str]()
    if query.user_id is not None:
        scope, name, condition, names = "user", query.user_id, "AND user_id = ?", [query.user_id]
    elif query.agent is not None:
        scope, name, condition, names = "agent", query.agent, "AND agent = ?", [query.agent]
    (held,) = transaction.execute(_HELD, (transaction.namespace, query.kind, scope, name)).fetchone()
    (dead,) = transaction.execute(
        f"SELECT count(*) {_EXPIRED} AND kind = ? {condition}",
        (transaction.namespace, now_ms(), query.kind, *names),
    ).fetchone()
    return int(held) - int(dead)


def stats(transaction: Transaction) -> BackendStats:
    """See `Backend.stats`."""
    namespace, expired = transaction.namespace, (transaction.namespace, now_ms())
    sessions: dict[str, int] = {}
    messages = size = 0
    rows = transaction.execute(
        "SELECT kind, sessions, messages, size FROM counts WHERE namespace = ? AND scope = 'all' "
        "UNION ALL "
        f"SELECT kind, -count(*), -sum(messages), -sum(size) {_EXPIRED} GROUP BY kind",
        (namespace, *expired),
    )
    for kind, number, of_messages, of_size in rows:
        sessions[kind] = sessions.get(kind, 0) + number
        messages, size = messages + of_messages, size + of_size
    (users,) = transaction.execute(_HELD, (namespace, "session", "users", "")).fetchone()
    (gone,) = transaction.execute(
        "SELECT count(*) FROM counts JOIN "
        f"(SELECT user_id, count(*) AS dead {_EXPIRED} AND kind = 'session' AND user_id IS NOT NULL "
        "GROUP BY user_id) ON counts.name = user_id AND counts.sessions = dead "
        "WHERE namespace = ? AND kind = 'session' AND scope = 'user'",
        (*expired, namespace),
    ).fetchone()
    agents: dict[str, int] = {}
    rows = transaction.execute(
        "SELECT name, sessions FROM counts WHERE namespace = ? AND kind = 'session' AND scope = 'agent' "
        "UNION ALL "
        f"SELECT agent, -count(*) {_EXPIRED} AND kind = 'session' AND agent IS NOT NULL GROUP BY agent",
        (namespace, *expired),
    )
    for agent, number in rows:
        agents[agent] = agents.get(agent, 0) + number
    return BackendStats(
        {kind: number for kind, number in sessions.items() if number},
        messages,
        size,
        int(users) - int(gone),
        {agent: number for agent, number in agents.items() if number},
    )


def count_expiring(transaction: Transaction, until_ms: int) -> int:
    """See `Backend.count_expiring`."""
    (found,) = transaction.execute(
        "SELECT count(*) FROM sessions INDEXED BY sessions_expiry "
        "WHERE namespace = ? AND expires_ms > ? AND expires_ms <= ? AND kind = 'session'",
        (transaction.namespace, now_ms(), until_ms),
    ).fetchone()
    return int(found)
