"""The cache, and rate limits."""

from __future__ import annotations

from collections.abc import Sequence

import msgpack  # type: ignore[import-untyped]

from miniagent_backends.sqlite.ranges import name_range
from miniagent_backends.sqlite.transaction import Transaction, now_ms
from miniagent_store.backend import CacheItem, RateResult, RateStep
from miniagent_store.rules import count_one, kept_ms, room_to_make

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


def cache_used(transaction: Transaction, keys: Sequence[str]) -> None:
    """Note hits."""
    now = now_ms()
    transaction.executemany(
        "UPDATE cache SET used_ms = ? WHERE namespace = ? AND key = ?",
        ((now, transaction.namespace, key) for key in keys),
    )


def cache_set(transaction: Transaction, items: Sequence[CacheItem], limit: int | None) -> None:
    """See `Backend.cache_set`; with `limit`, looks whether all of it is over that."""
    now = now_ms()
    transaction.executemany(
        "INSERT INTO cache (namespace, key, value, expires_ms, used_ms, size, tags) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (namespace, key) DO UPDATE SET "
        "value = excluded.value, expires_ms = excluded.expires_ms, used_ms = excluded.used_ms, "
        "size = excluded.size, tags = excluded.tags",
        (
            (
                transaction.namespace,
                item.key,
                item.value,
                None if item.ttl_ms is None else now + item.ttl_ms,
                now,
                item.size,
                "".join(f"\n{tag}\n" for tag in item.tags) or None,
            )
            for item in items
        ),
    )
    if limit is not None:
        _make_room(transaction, limit, now)


def _make_room(transaction: Transaction, limit: int, now: int) -> None:
    if _cache_size(transaction) <= limit:
        return
    transaction.execute(
        "DELETE FROM cache WHERE namespace = ? AND expires_ms <= ?", (transaction.namespace, now)
    )
    excess = room_to_make(_cache_size(transaction), limit)
    victims: list[tuple[int]] = []
    rows = transaction.execute(
        "SELECT rowid, size FROM cache WHERE namespace = ? ORDER BY used_ms", (transaction.namespace,)
    )
    for rowid, size in rows:
        if excess <= 0:
            break
        victims.append((rowid,))
        excess -= size
    transaction.executemany("DELETE FROM cache WHERE rowid = ?", victims)


def _cache_size(transaction: Transaction) -> int:
    (size,) = transaction.execute(
        "SELECT coalesce(sum(size), 0) FROM cache WHERE namespace = ?", (transaction.namespace,)
    ).fetchone()
    return int(size)


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


def cache_clear(transaction: Transaction, prefix: str, tag: str | None) -> int:
    """See `Backend.cache_clear`."""
    condition, bounds = name_range("key", prefix)
    # "IS NOT NULL" tells that the index of tags will do.
    tagged = "" if tag is None else "AND tags IS NOT NULL AND instr(tags, ?) > 0"
    tags = () if tag is None else (f"\n{tag}\n",)
    return transaction.execute(
        f"DELETE FROM cache WHERE namespace = ? {condition} {tagged} AND {_LIVE}",
        (transaction.namespace, *bounds, *tags, now_ms()),
    ).rowcount


def rate_limit(transaction: Transaction, step: RateStep) -> RateResult:
    """See `Backend.rate_limit`."""
    now = now_ms()
    where = (transaction.namespace, step.key, step.algorithm)
    row = transaction.execute(
        "SELECT state FROM rates WHERE namespace = ? AND key = ? AND algorithm = ? AND expires_ms > ?",
        (*where, now),
    ).fetchone()
    state = None if row is None else tuple(msgpack.unpackb(row[0]))
    kept, result = count_one(state, step, now)
    if kept != state:
        transaction.execute(
            "INSERT OR REPLACE INTO rates (namespace, key, algorithm, state, expires_ms) "
            "VALUES (?, ?, ?, ?, ?)",
            (*where, msgpack.packb(kept), now + kept_ms(step)),
        )
    return result


def rate_reset(transaction: Transaction, key: str) -> None:
    """See `Backend.rate_reset`."""
    transaction.execute("DELETE FROM rates WHERE namespace = ? AND key = ?", (transaction.namespace, key))
