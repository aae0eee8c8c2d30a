"""The cache, and rate limits."""

from __future__ import annotations

import json
from collections.abc import Sequence

from miniagent_postgresql.prefixes import name_range
from miniagent_postgresql.transaction import Transaction
from miniagent_store.backend import CacheItem, RateResult, RateStep
from miniagent_store.rules import count_one, kept_ms, room_to_make

_LIVE = "(expires_ms IS NULL OR expires_ms > %s)"


def cache_get(transaction: Transaction, keys: Sequence[str]) -> list[bytes | None]:
    """See `Backend.cache_get`."""
    rows = transaction.rows(
        f"SELECT key, value FROM cache WHERE namespace = %s AND key = ANY(%s::text[]) AND {_LIVE}",
        (transaction.namespace, list(keys), transaction.now_ms),
    )
    found: dict[str, bytes] = dict(rows)  # pyright: ignore
    return [found.get(key) for key in keys]


def cache_used(transaction: Transaction, keys: Sequence[str]) -> None:
    """Note hits."""
    transaction.write(
        "UPDATE cache SET used_ms = %s WHERE namespace = %s AND key = ANY(%s::text[])",
        (transaction.now_ms, transaction.namespace, sorted(keys)),
    )


def cache_set(transaction: Transaction, items: Sequence[CacheItem], limit: int | None) -> None:
    """See `Backend.cache_set`; with `limit`, looks whether all of it is over that."""
    now = transaction.now_ms
    # In one order, so that nobody waits for who waits for him.
    for item in sorted(items, key=lambda item: item.key):
        transaction.write(
            "INSERT INTO cache (namespace, key, value, expires_ms, used_ms, size, tags) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (namespace, key) DO UPDATE SET "
            "value = excluded.value, expires_ms = excluded.expires_ms, used_ms = excluded.used_ms, "
            "size = excluded.size, tags = excluded.tags",
            (
                transaction.namespace,
                item.key,
                item.value,
                None if item.ttl_ms is None else now + item.ttl_ms,
                now,
                item.size,
                list(item.tags),
            ),
        )
    if limit is not None:
        _make_room(transaction, limit, now)


def _make_room(transaction: Transaction, limit: int, now: int) -> None:
    if _cache_size(transaction) <= limit:
        return
    transaction.write(
        "DELETE FROM cache WHERE namespace = %s AND expires_ms <= %s", (transaction.namespace, now)
    )
    excess = room_to_make(_cache_size(transaction), limit)
    transaction.write(
        "DELETE FROM cache WHERE namespace = %s AND key IN (SELECT key FROM "
        "(SELECT key, sum(size) OVER (ORDER BY used_ms, key) - size AS before FROM cache "
        "WHERE namespace = %s) AS oldest WHERE before < %s)",
        (transaction.namespace, transaction.namespace, excess),
    )


def _cache_size(transaction: Transaction) -> int:
    return transaction.number(
        "SELECT coalesce(sum(size), 0)::bigint FROM cache WHERE namespace = %s", (transaction.namespace,)
    )


def cache_delete(transaction: Transaction, keys: Sequence[str]) -> int:
    """See `Backend.cache_delete`."""
    return transaction.count(
        f"DELETE FROM cache WHERE namespace = %s AND key = ANY(%s::text[]) AND {_LIVE}",
        (transaction.namespace, list(keys), transaction.now_ms),
    )


def cache_clear(transaction: Transaction, prefix: str, tag: str | None) -> int:
    """See `Backend.cache_clear`."""
    condition, bounds = name_range("key", prefix)
    tagged, tags = ("", []) if tag is None else ("AND tags @> %s::text[]", [[tag]])
    return transaction.count(
        f"DELETE FROM cache WHERE namespace = %s {condition} {tagged} AND {_LIVE}",
        (transaction.namespace, *bounds, *tags, transaction.now_ms),
    )


def cache_scan(
    transaction: Transaction, cursor: str | None, limit: int
) -> tuple[list[tuple[str, bytes]], str | None]:
    """See `Backend.cache_scan`."""
    beyond, start = ("", []) if cursor is None else ("AND key > %s", [cursor])
    rows = transaction.rows(
        f"SELECT key, value FROM cache WHERE namespace = %s {beyond} AND {_LIVE} ORDER BY key LIMIT %s",
        (transaction.namespace, *start, transaction.now_ms, limit + 1),
    )
    page = [(key, value) for key, value in rows[:limit]]
    return page, page[-1][0] if len(rows) > limit else None


def cache_replace(transaction: Transaction, key: str, old: bytes, new: bytes) -> bool:
    """See `Backend.cache_replace`."""
    changed = transaction.count(
        f"UPDATE cache SET value = %s WHERE namespace = %s AND key = %s AND value = %s AND {_LIVE}",
        (new, transaction.namespace, key, old, transaction.now_ms),
    )
    return changed == 1


def rate_limit(transaction: Transaction, step: RateStep) -> RateResult:
    """See `Backend.rate_limit`."""
    where = (transaction.namespace, step.key, step.algorithm)
    asked = transaction.ask(
        "SELECT state, expires_ms FROM rates WHERE namespace = %s AND key = %s AND algorithm = %s", where
    )
    now, row = transaction.now_ms, asked.fetchone()
    state = None if row is None or row[1] <= now else tuple(row[0])
    kept, result = count_one(state, step, now)
    if kept != state:
        transaction.write(
            "INSERT INTO rates (namespace, key, algorithm, state, expires_ms) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (namespace, key, algorithm) DO UPDATE SET state = excluded.state, "
            "expires_ms = excluded.expires_ms",
            (*where, json.dumps(kept), now + kept_ms(step)),
        )
    return result


def rate_reset(transaction: Transaction, key: str) -> None:
    """See `Backend.rate_reset`."""
    transaction.write("DELETE FROM rates WHERE namespace = %s AND key = %s", (transaction.namespace, key))
