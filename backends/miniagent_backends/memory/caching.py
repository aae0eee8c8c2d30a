"""Cached values in a dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from miniagent_store.backend import CacheItem
from miniagent_store.rules import Cached, cache_victims, is_expired


@dataclass(slots=True)
class CachedValue:
    """A value, and what is known of it."""

    value: bytes
    expires_ms: int | None
    tags: tuple[str, ...]
    size: int
    used_ms: int


Values = dict[str, CachedValue]


def get(values: Values, keys: Sequence[str], now_ms: int) -> list[bytes | None]:
    """See `Backend.cache_get`."""
    found: list[bytes | None] = []
    for key in keys:
        each = _live(values, key, now_ms)
        if each is not None:
            each.used_ms = now_ms
        found.append(None if each is None else each.value)
    return found


def put(values: Values, items: Sequence[CacheItem], limit: int | None, now_ms: int) -> None:
    """See `Backend.cache_set`; with `limit`, looks whether all of it is over that."""
    for item in items:
        expires_ms = None if item.ttl_ms is None else now_ms + item.ttl_ms
        values[item.key] = CachedValue(item.value, expires_ms, item.tags, item.size, now_ms)
    if limit is not None:
        found = ((key, Cached(each.size, each.used_ms, each.expires_ms)) for key, each in values.items())
        for key in cache_victims(found, limit, now_ms):
            del values[key]


def delete(values: Values, keys: Sequence[str], now_ms: int) -> int:
    """See `Backend.cache_delete`."""
    gone = [values.pop(key, None) for key in keys]
    return sum(1 for each in gone if each is not None and not is_expired(each.expires_ms, now_ms))


def clear(values: Values, prefix: str, tag: str | None, now_ms: int) -> int:
    """See `Backend.cache_clear`."""
    keys = [
        key for key, each in values.items() if key.startswith(prefix) and (tag is None or tag in each.tags)
    ]
    return delete(values, keys, now_ms)


def replace(values: Values, key: str, old: bytes, new: bytes, now_ms: int) -> bool:
    """See `Backend.cache_replace`."""
    each = _live(values, key, now_ms)
    if each is None or each.value != old:
        return False
    each.size += len(new) - len(old)
    each.value = new
    return True


def _live(values: Values, key: str, now_ms: int) -> CachedValue | None:
    each = values.get(key)
    return None if each is None or is_expired(each.expires_ms, now_ms) else each
