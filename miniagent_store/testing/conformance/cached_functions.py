"""Promises of cached functions: what is kept, for how long, and what is computed again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import ConformanceBase, eventually, soon


class NotThere(LookupError):
    """An error that is a result."""

    def __init__(self, where: str, code: int) -> None:
        super().__init__(where, code)
        self.where = where


class CachedFunctionPromises(ConformanceBase):
    """`store.cache.cached`."""

    async def test_none_is_kept_for_its_own_time(self, store: SessionStore) -> None:
        calls = 0

        @store.cache.cached(ttl="1h", negative_ttl=0.2)
        async def find(name: str) -> str | None:
            nonlocal calls
            calls += 1
            return "there" if name == "known" else None

        assert [await find("unknown"), await find("known")] == [None, "there"]
        first = calls

        async def computed_again() -> bool:
            return await find("unknown") is None and calls > first

        await eventually(computed_again)
        again = calls
        assert await find("known") == "there"
        assert calls == again

    async def test_errors_are_kept_where_they_are_results(self, store: SessionStore) -> None:
        calls = 0

        @store.cache.cached(key="page", negative_ttl="1h", negative=(NotThere,))
        async def page() -> str:
            nonlocal calls
            calls += 1
            raise NotThere("nowhere", 404)

        for _ in range(3):
            with pytest.raises(NotThere) as caught:
                await page()
            assert (caught.value.args, caught.value.where) == (("nowhere", 404), "nowhere")
        assert calls == 1

        @store.cache.cached(key="page")
        async def other() -> str:
            return "found"

        assert await other() == "found", "whoever keeps no errors finds none"

    async def test_other_errors_are_not_kept(self, store: SessionStore) -> None:
        calls = 0

        @store.cache.cached(key="flaky", negative_ttl="1h", negative=NotThere)
        async def flaky() -> str:
            nonlocal calls
            calls += 1
            if calls < 3:
                raise KeyError(object())
            return "fine"

        for _ in range(2):
            with pytest.raises(KeyError):
                await flaky()
        assert await flaky() == "fine"

    async def test_results_have_tags(self, store: SessionStore) -> None:
        calls = 0

        @store.cache.cached(tags=lambda user: [f"user:{user}"])
        async def profile(user: str) -> str:
            nonlocal calls
            calls += 1
            return user

        for _ in range(2):
            assert [await profile("ada"), await profile("bob")] == ["ada", "bob"]
        assert await store.cache.clear(tag="user:ada") == 1
        assert [await profile("ada"), await profile("bob")] == ["ada", "bob"]
        assert calls == 3

    async def test_many_stores_compute_once_and_take_what_is_there(
        self, store: SessionStore, other: SessionStore
    ) -> None:
        calls = 0
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def compute(number: int) -> int:
            nonlocal calls
            calls += 1
            begun.set()
            await may_end.wait()
            return number

        functions = [each.cache.cached(key=lambda number: f"n{number}")(compute) for each in (store, other)]
        work = asyncio.gather(*(function(7) for function in functions * 5))
        await soon(begun.wait())
        await asyncio.sleep(0.1)
        may_end.set()

        assert await soon(work) == [7] * 10
        assert calls == 1

    async def test_who_waits_may_be_cancelled(self, store: SessionStore, other: SessionStore) -> None:
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def compute() -> str:
            begun.set()
            await may_end.wait()
            return "done"

        first, second = (each.cache.cached(key="key")(compute) for each in (store, other))
        computing = asyncio.ensure_future(first())
        await soon(begun.wait())
        waiting = asyncio.ensure_future(second())
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(waiting)
        may_end.set()

        assert await soon(computing) == "done"
        async with store.lock("cache/default/key", wait=5):
            pass  # nobody was left in the line

    async def test_hits_and_misses_are_counted(self, store: SessionStore) -> None:
        @store.cache.cached(key="key")
        async def compute() -> int:
            return 1

        for _ in range(3):
            await compute()
        await store.cache.get_many(["key", "missing"])

        stats = await store.stats()
        assert (stats.cache_hits, stats.cache_misses, stats.hit_rate) == (3, 2, 0.6)

    async def test_impossible_arguments_are_refused_at_once(self, store: SessionStore) -> None:
        impossible: list[dict[str, Any]] = [
            {"lease": 0},
            {"ttl": -1},
            {"negative_ttl": 0},
            {"tags": "tag"},
            {"tags": ["{"]},
        ]
        for wrong in impossible:
            with pytest.raises(InvalidArgumentError):
                store.cache.cached(**wrong)
        for jitter in (-0.1, 1, 2):
            with pytest.raises(InvalidArgumentError):
                await store.cache.set("key", 1, jitter=jitter)
