"""The cache, and rate limits."""

from __future__ import annotations

from collections.abc import Sequence

from miniagent_backends.sqlite.ranges import name_range
from miniagent_backends.sqlite.transaction import Transaction, now_ms
from miniagent_store.backend import RateResult, RateStep
from miniagent_store.rules import count_one

_LIVE = "(expires_ms IS NULL OR expires_ms > ?)"


def cache_get(transaction: Transaction, keys: Sequence[str]) -> list[bytes | None]:
    """See `Backend.cache_get`."""
    now = now_ms()
    rows = (
        transaction.execute(
            f"SELECT value FROM cache WHERE namespace = ? AND key = ? AND {_LIVE}",
            (transaction.namespace, key, now),
        ).fetchone()
        for key in keys
    )
    return [None if row is None else row[0] for row in rows]


def cache_set(transaction: Transaction, items: Sequence[tuple[str, bytes, int | None]]) -> None:
    """See `Backend.cache_set`."""
    now = now_ms()
    transaction.executemany(
        "INSERT INTO cache (namespace, key, value, expires_ms) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, "
        "expires_ms = excluded.expires_ms",
        (
            (transaction.namespace, key, value, None if ttl_ms is None else now + ttl_ms)
            for key, value, ttl_ms in items
        ),
    )


def cache_delete(transaction: Transaction, keys: Sequence[str]) -> int:
    """See `Backend.cache_delete`."""
    now = now_ms()
    return sum(
        transaction.execute(
            f"DELETE FROM cache WHERE namespace = ? AND key = ? AND {_LIVE}",
            (transaction.namespace, key, now),
        ).rowcount
        for key in keys
    )


def cache_clear(transaction: Transaction, prefix: str) -> int:
    """See `Backend.cache_clear`."""
    condition, bounds = name_range("key", prefix)
    return transaction.execute(
        f"DELETE FROM cache WHERE namespace = ? {condition} AND {_LIVE}",
        (transaction.namespace, *bounds, now_ms()),
    ).rowcount


def rate_limit(transaction: Transaction, step: RateStep) -> RateResult:
    """See `Backend.rate_limit`."""
    now = now_ms()
    where = (transaction.namespace, step.key, step.algorithm)
    state = transaction.execute(
        "SELECT a, b, c FROM rates WHERE namespace = ? AND key = ? AND algorithm = ? AND expires_ms > ?",
        (*where, now),
    ).fetchone()
    kept, result = count_one(state, step, now)
    if kept != state:
        transaction.execute(
            "INSERT OR REPLACE INTO rates (namespace, key, algorithm, a, b, c, expires_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*where, *kept, now + 2 * step.period_ms),
        )
    return result
