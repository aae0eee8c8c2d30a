"""Cached values: a key each, wherever its slot is."""

from __future__ import annotations

from collections.abc import Sequence

from miniagent_backends.redis.routing.executor import Executor
from miniagent_backends.redis.schema import Keys, escape_glob

CHUNK = 500


async def get(executor: Executor, keys: Keys, names: Sequence[str]) -> Sequence[bytes | None]:
    """See `Backend.cache_get`."""
    # One by one, since their slots differ; together all the same, since they share a write.
    # MGET, since a GET of what is no string is an error.
    rows = await executor.run(*(("MGET", keys.cached(name)) for name in names))
    return [value for (value,) in rows]


async def put(executor: Executor, keys: Keys, items: Sequence[tuple[str, bytes, int | None]]) -> None:
    """See `Backend.cache_set`."""
    await executor.run(
        *(
            ("SET", keys.cached(name), value, *(() if ttl_ms is None else ("PX", ttl_ms)))
            for name, value, ttl_ms in items
        )
    )


async def delete(executor: Executor, keys: Keys, names: Sequence[str]) -> int:
    """See `Backend.cache_delete`."""
    return await _unlink(executor, [keys.cached(name) for name in names])


async def clear(executor: Executor, keys: Keys, prefix: str) -> int:
    """See `Backend.cache_clear`."""
    pattern = escape_glob(keys.cached(prefix)) + "*"
    cursor, gone = None, 0
    while True:
        found, cursor = await executor.scan(cursor, pattern, CHUNK)
        gone += await _unlink(executor, found)
        if cursor is None:
            return gone


async def scan(
    executor: Executor, keys: Keys, cursor: str | None, limit: int
) -> tuple[Sequence[tuple[str, bytes]], str | None]:
    """See `Backend.cache_scan`."""
    start = keys.cached("")
    found, next_cursor = await executor.scan(cursor, f"{escape_glob(start)}*", limit)
    # A name that is no text is not ours, and will not be found.
    names = [key.decode(errors="replace").removeprefix(start) for key in found]
    values = zip(names, await get(executor, keys, names), strict=True)
    return [(name, value) for name, value in values if value is not None], next_cursor


async def replace(executor: Executor, keys: Keys, name: str, old: bytes, new: bytes) -> bool:
    """See `Backend.cache_replace`."""
    return bool(await executor.script("cache_replace", [keys.cached(name)], old, new))


async def _unlink(executor: Executor, names: Sequence[str | bytes]) -> int:
    return sum(await executor.run(*(("UNLINK", name) for name in names)))
