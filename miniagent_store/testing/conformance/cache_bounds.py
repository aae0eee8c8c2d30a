"""Promises of the cache's size: it bounds itself, and what is used stays."""

from __future__ import annotations

import asyncio

from miniagent_store.backend import Backend, CacheItem
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import ConformanceBase, OpenHere, backend_of, eventually
from miniagent_store.testing.conformance.walking import all_cached

LIMIT = 64 * 1024


async def size_of(backend: Backend) -> int:
    """Bytes of all keys and values that are cached."""
    return sum(CacheItem(key, value).size for key, value in (await all_cached(backend)).items())


async def fill(store: SessionStore, first: int, count: int, ttl: float | str = 300) -> None:
    """Cache values of half a kilobyte each, a few at a time."""
    numbers = range(first, first + count)
    for start in range(0, count, 4):
        values = {f"k{number}": b"x" * 500 for number in numbers[start : start + 4]}
        await store.cache.set_many(values, ttl=ttl)


class CacheBoundPromises(ConformanceBase):
    """``cache_max_size``."""

    async def test_a_cache_stays_within_its_size(self, open_here: OpenHere) -> None:
        store = await open_here(cache_max_size=LIMIT)
        backend = backend_of(store)
        for round_ in range(8):
            await fill(store, round_ * 64, 64)
            # A writer may be over by a 32nd, and by what it sets at once.
            assert await size_of(backend) <= LIMIT * 33 // 32 + 4 * 520

        assert await size_of(backend) >= LIMIT * 3 // 4
        assert await store.cache.get("k511") == b"x" * 500, "the latest is there"
        assert await store.cache.get("k0") is None

    async def test_what_was_used_stays(self, open_here: OpenHere) -> None:
        store = await open_here(cache_max_size=LIMIT)
        await store.cache.set("used", b"x" * 500)
        await fill(store, 0, 100)
        await asyncio.sleep(0.01)
        assert await store.cache.get("used") is not None
        await asyncio.sleep(0.01)
        await fill(store, 100, 60)

        assert await store.cache.get("used") == b"x" * 500
        assert await size_of(backend_of(store)) <= LIMIT * 33 // 32 + 4 * 520

    async def test_what_has_expired_takes_no_room(self, open_here: OpenHere) -> None:
        store = await open_here(cache_max_size=LIMIT)
        await fill(store, 0, 16, ttl="1h")
        for first in range(100, 700, 100):
            await fill(store, first, 24, ttl=0.05)

            async def gone(last: str = f"k{first + 23}") -> bool:
                return await store.cache.get(last) is None

            await eventually(gone)

        # More was set than there is room for, but never was there so much at once.
        long = {f"k{number}" for number in range(16)}
        assert set(await store.cache.get_many(long)) == long

    async def test_what_is_too_large_is_not_kept(self, open_here: OpenHere) -> None:
        store = await open_here(cache_max_size=LIMIT)
        await store.cache.set("key", "small")

        await store.cache.set("key", b"x" * (LIMIT // 16))

        assert await store.cache.get("key") is None, "the old value is no longer true"

    async def test_without_a_size_all_is_kept(self, open_here: OpenHere) -> None:
        store = await open_here(cache_max_size="none")
        await fill(store, 0, 256)

        assert await size_of(backend_of(store)) > 256 * 500

    async def test_sessions_are_not_touched(self, open_here: OpenHere) -> None:
        store = await open_here(cache_max_size=LIMIT)
        before = await store.create("s", metadata={"m": "x" * 1000})
        await fill(store, 0, 160)

        assert await store.get("s") == before
