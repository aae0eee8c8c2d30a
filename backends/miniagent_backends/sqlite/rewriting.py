"""Walks over all that is stored, and bytes that take the place of others."""

from __future__ import annotations

from miniagent_backends.sqlite.rows import SqlRows
from miniagent_backends.sqlite.transaction import Transaction, now_ms
from miniagent_store.backend import Rewrite, RewriteResult
from miniagent_store.rules import apply_rewrite

_LIVE = "(expires_ms IS NULL OR expires_ms > ?)"


def kinds(transaction: Transaction) -> list[str]:
    """See `Backend.kinds`. From one to the next by the index: there are few."""
    found: list[str] = []
    kind: str | None = ""
    while True:
        (kind,) = transaction.execute(
            "SELECT min(kind) FROM sessions WHERE namespace = ? AND kind > ?", (transaction.namespace, kind)
        ).fetchone()
        if kind is None:
            return found
        found.append(kind)


def session_ids(
    transaction: Transaction, kind: str, cursor: str | None, limit: int
) -> tuple[list[str], str | None]:
    """See `Backend.session_ids`. In order of ids, which nothing changes."""
    rows = transaction.execute(
        "SELECT id FROM sessions INDEXED BY sessions_id WHERE namespace = ? AND id > ? AND kind = ? "
        "ORDER BY id LIMIT ?",
        (transaction.namespace, cursor or "", kind, limit + 1),
    ).fetchall()
    ids = [session_id for (session_id,) in rows[:limit]]
    return ids, ids[-1] if len(rows) > limit else None


def rewrite(transaction: Transaction, wanted: Rewrite) -> RewriteResult:
    """See `Backend.rewrite`."""
    return apply_rewrite(SqlRows(transaction, wanted.session_id), wanted, now_ms())


def cache_scan(
    transaction: Transaction, cursor: str | None, limit: int
) -> tuple[list[tuple[str, bytes]], str | None]:
    """See `Backend.cache_scan`."""
    beyond = "" if cursor is None else "AND key > ?"
    rows = transaction.execute(
        f"SELECT key, value FROM cache WHERE namespace = ? {beyond} AND {_LIVE} ORDER BY key LIMIT ?",
        (transaction.namespace, *(() if cursor is None else (cursor,)), now_ms(), limit + 1),
    ).fetchall()
    page = rows[:limit]
    return page, page[-1][0] if len(rows) > limit else None


def cache_replace(transaction: Transaction, key: str, old: bytes, new: bytes) -> bool:
    """See `Backend.cache_replace`."""
    changed = transaction.execute(
        f"UPDATE cache SET value = ? WHERE namespace = ? AND key = ? AND value = ? AND {_LIVE}",
        (new, transaction.namespace, key, old, now_ms()),
    ).rowcount
    return changed == 1
