"""Cached values: a key each, wherever its slot is, and an index in buckets that says what has to go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from miniagent_backends.redis.keys import BUCKETS, Keys, bucket_of, escape_glob
from miniagent_backends.redis.routing.executor import Executor
from miniagent_backends.redis.schema import pack
from miniagent_backends.redis.scripts import digest_of
from miniagent_backends.redis.wire.connection import Command
from miniagent_store.backend import CacheItem
from miniagent_store.rules import Hits

CHUNK = 500


class Caching:
    """What a backend does for `store.cache`.

    Args:
        executor: brings commands to where their keys are.
        keys: names of keys.
        max_size: bytes of keys and values together; None for no limit. Each bucket has an equal share.
    """

    def __init__(self, executor: Executor, keys: Keys, max_size: int | None) -> None:
        self._executor, self._keys = executor, keys
        self._share = False if max_size is None else max(max_size // BUCKETS, 1)
        self._hits = Hits()

    async def get(self, names: Sequence[str]) -> Sequence[bytes | None]:
        """See `Backend.cache_get`."""
        values = await self._values(names)
        hits = (name for name, value in zip(names, values, strict=True) if value is not None)
        now = self._executor.now_ms()
        # XX: of what the index does not know nothing has to go.
        self._executor.notify(
            *(
                ("ZADD", self._keys.cache_index(bucket_of(name)) + "used", "XX", now, name)
                for name in self._hits.worth_noting(hits, now)
            )
        )
        return values

    async def _values(self, names: Sequence[str]) -> Sequence[bytes | None]:
        # One by one, since their slots differ; together all the same, since they share a write.
        # MGET, since a GET of what is no string is an error.
        rows = await self._executor.run(*(("MGET", self._keys.cached(name)) for name in names))
        return [value for (value,) in rows]

    async def put(self, items: Sequence[CacheItem]) -> None:
        """See `Backend.cache_set`."""
        index = self._index(set_items=items)
        values: list[Command] = [
            (
                "SET",
                self._keys.cached(item.key),
                item.value,
                *(() if item.ttl_ms is None else ("PX", item.ttl_ms)),
            )
            for item in items
        ]
        # The index first: what it does not know would never have to go.
        replies = await self._executor.run(*index, *values)
        victims = [name.decode() for reply in replies[: len(index)] for name in reply]
        await self._executor.run(*(("UNLINK", self._keys.cached(name)) for name in victims))

    async def delete(self, names: Sequence[str]) -> int:
        """See `Backend.cache_delete`."""
        values = [("UNLINK", self._keys.cached(name)) for name in names]
        replies = await self._executor.run(*values, *self._index(removed=names))
        return sum(replies[: len(values)])

    async def clear(self, prefix: str, tag: str | None) -> int:
        """See `Backend.cache_clear`."""
        if tag is not None:
            return await self._clear_tag(prefix, tag)
        start = self._keys.cached("")
        pattern = f"{escape_glob(start + prefix)}*"
        cursor, gone = None, 0
        while True:
            found, cursor = await self._executor.scan(cursor, pattern, CHUNK)
            # A name that is no text is not ours.
            gone += await self.delete([key.decode(errors="replace").removeprefix(start) for key in found])
            if cursor is None:
                return gone

    async def _clear_tag(self, prefix: str, tag: str) -> int:
        gone = 0
        starts = [self._keys.cache_index(bucket) for bucket in range(BUCKETS)]
        for members in await self._executor.run(
            *(("ZRANGE", f"{start}tag:{tag}", 0, -1) for start in starts)
        ):
            names = [name.decode() for name in members]
            gone += await self.delete([name for name in names if name.startswith(prefix)])
        return gone

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, bytes]], str | None]:
        """See `Backend.cache_scan`."""
        start = self._keys.cached("")
        found, next_cursor = await self._executor.scan(cursor, f"{escape_glob(start)}*", limit)
        # A name that is no text is not ours, and will not be found.
        names = [key.decode(errors="replace").removeprefix(start) for key in found]
        values = zip(names, await self._values(names), strict=True)
        return [(name, value) for name, value in values if value is not None], next_cursor

    async def replace(self, name: str, old: bytes, new: bytes) -> bool:
        """See `Backend.cache_replace`."""
        return bool(await self._executor.script("cache_replace", [self._keys.cached(name)], old, new))

    def _index(self, *, set_items: Iterable[CacheItem] = (), removed: Iterable[str] = ()) -> list[Command]:
        """What tells the index, a script for each bucket."""
        buckets: dict[int, tuple[list[Any], list[str]]] = {}
        for item in set_items:
            ttl = False if item.ttl_ms is None else item.ttl_ms
            row = (item.key, item.size, ttl, list(item.tags))
            buckets.setdefault(bucket_of(item.key), ([], []))[0].append(row)
        for name in removed:
            buckets.setdefault(bucket_of(name), ([], []))[1].append(name)
        commands: list[Command] = []
        for bucket, (rows, names) in buckets.items():
            start = self._keys.cache_index(bucket)
            packed = pack((self._share, f"{start}tag:", rows, names))
            keys = (f"{start}used", f"{start}due", f"{start}sizes")
            commands.append(("EVALSHA", digest_of("cache_index"), len(keys), *keys, packed))
        return commands
