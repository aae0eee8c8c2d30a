"""Promises of the cache: values that may go, and one computation for all who wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from miniagent_store.backend import Backend, CacheItem
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import ConformanceBase, eventually, soon


class CachePromises(ConformanceBase):
    """`store.cache`."""

    async def test_a_cached_value_comes_back(self, store: SessionStore) -> None:
        values: list[Any] = [None, 0, "text", b"\x00\xff", [1, {"two": None}], {}]
        for value in values:
            await store.cache.set("key", value)
            assert await store.cache.get("key", "absent") == value

    async def test_what_is_not_cached_is_the_default(self, store: SessionStore) -> None:
        assert await store.cache.get("missing") is None
        assert await store.cache.get("missing", "default") == "default"
        assert await store.cache.get_many(["missing"]) == {}

    async def test_many_keys_at_once(self, store: SessionStore) -> None:
        await store.cache.set_many({"a": 1, "b": None, "c": 3})

        assert await store.cache.get_many(["c", "missing", "a", "b"]) == {"c": 3, "a": 1, "b": None}
        assert await store.cache.delete("a", "missing") is True
        assert await store.cache.delete("a", "missing") is False
        assert await store.cache.get_many(["a", "c"]) == {"c": 3}

    async def test_a_cached_value_expires(self, store: SessionStore) -> None:
        await store.cache.set("short", 1, ttl=0.05)
        await store.cache.set("long", 1, ttl="1h")
        await store.cache.set("ever", 1, ttl=None)

        async def is_gone() -> bool:
            return await store.cache.get("short") is None

        await eventually(is_gone)
        assert await store.cache.get_many(["short", "long", "ever"]) == {"long": 1, "ever": 1}
        assert await store.cache.delete("short") is False

    async def test_setting_again_replaces_value_and_ttl(self, store: SessionStore) -> None:
        await store.cache.set("key", 1, ttl=0.2)
        await store.cache.set("key", 2, ttl="1h")
        await asyncio.sleep(0.3)

        assert await store.cache.get("key") == 2

    async def test_namespaces_are_cleared_apart(self, store: SessionStore) -> None:
        names = ["a", "a/b", "ab", "a%", "*"]
        for name in names:
            await store.cache.set_many({"k1": name, "k2": name}, namespace=name)

        assert await store.cache.clear("a") == 2

        left = [name for name in names if await store.cache.get("k1", namespace=name) == name]
        assert left == ["a/b", "ab", "a%", "*"]
        assert await store.cache.clear("*") == 2
        assert await store.cache.get("k1", namespace="a%") == "a%"
        assert await store.cache.clear("nothing there") == 0

    async def test_tags_clear_what_has_them(self, store: SessionStore) -> None:
        cache = store.cache
        await cache.set_many({"a": 1, "b": 2}, tags=["red", "%"])
        await cache.set("c", 3, tags=["red"], namespace="other")
        await cache.set("d", 4, tags=["redder"])
        await cache.set("e", 5)

        assert await cache.clear(tag="r") == 0
        assert await cache.clear("other", tag="%") == 0
        assert await cache.clear("default", tag="red") == 2
        assert await cache.get("c", namespace="other") == 3
        assert await cache.clear(tag="red") == 1
        assert await cache.get_many("abcde") == {"d": 4, "e": 5}

    async def test_setting_again_replaces_the_tags(self, store: SessionStore) -> None:
        await store.cache.set("key", 1, tags=["old", "both"])
        await store.cache.set("key", 2, tags=["both", "new"])

        assert await store.cache.clear(tag="old") == 0
        assert await store.cache.clear(tag="new") == 1
        assert await store.cache.clear(tag="both") == 0
        await store.cache.set("key", 3)
        assert await store.cache.clear(tag="both") == 0
        assert await store.cache.get("key") == 3

    async def test_many_are_deleted_at_once(self, store: SessionStore) -> None:
        await store.cache.set_many({f"k{number}": number for number in range(50)}, tags=["all"])

        assert await store.cache.delete_many(f"k{number}" for number in range(10, 90)) == 40
        assert await store.cache.clear(tag="all") == 10

    async def test_what_is_set_together_expires_apart(self, store: SessionStore) -> None:
        keys = [f"k{number}" for number in range(20)]
        await store.cache.set_many(dict.fromkeys(keys, 1), ttl=0.6, jitter=0.8)
        seen: set[int] = set()

        async def all_gone() -> bool:
            seen.add(left := len(await store.cache.get_many(keys)))
            return not left

        await eventually(all_gone)
        assert len(seen) > 3

    async def test_two_stores_share_a_cache(self, store: SessionStore, other: SessionStore) -> None:
        await store.cache.set("key", "value")

        assert await other.cache.get("key") == "value"

    async def test_one_computes_and_the_others_wait(self, store: SessionStore) -> None:
        calls = 0

        @store.cache.cached(ttl=60)
        async def slow(number: int) -> dict[str, int]:
            nonlocal calls
            calls += 1
            await asyncio.sleep(0.05)
            return {"square": number * number}

        answers = await soon(asyncio.gather(*[slow(3) for _ in range(10)], slow(4)))

        assert answers == [{"square": 9}] * 10 + [{"square": 16}]
        assert await slow(3) == {"square": 9}
        assert calls == 2

    async def test_one_computes_for_two_stores(self, store: SessionStore, other: SessionStore) -> None:
        calls = 0

        async def compute() -> str:
            nonlocal calls
            calls += 1
            await asyncio.sleep(0.1)
            return "answer"

        functions = [each.cache.cached(key="answer")(compute) for each in (store, other)]
        answers = await soon(asyncio.gather(*[function() for function in functions * 3]))

        assert answers == ["answer"] * 6
        assert calls == 1

    async def test_a_computation_that_fails_fails_alone(self, store: SessionStore) -> None:
        calls = 0

        @store.cache.cached(key=lambda: "flaky")
        async def flaky() -> str:
            nonlocal calls
            calls += 1
            await asyncio.sleep(0.02)
            if calls == 1:
                raise ZeroDivisionError
            return "fine"

        answers: list[Any] = await soon(
            asyncio.gather(*[flaky() for _ in range(3)], return_exceptions=True)
        )

        assert [type(each) for each in answers].count(ZeroDivisionError) == 1
        assert answers.count("fine") == 2

    async def test_cached_bytes_are_kept_byte_for_byte(self, backend: Backend) -> None:
        odd = {"empty": b"", "all": bytes(range(256)), "big": b"\xff" * 100_000}

        await backend.cache_set([CacheItem(key, value) for key, value in odd.items()])

        assert list(await backend.cache_get([*odd, "missing"])) == [*odd.values(), None]
        assert list(await backend.cache_get([])) == []
        assert await backend.cache_delete([*odd, "missing"]) == 3

    @pytest.mark.parametrize("prefix", ["a*", "a%", "a_", "a["])
    async def test_a_cleared_prefix_is_no_pattern(self, backend: Backend, prefix: str) -> None:
        keys = ["a*1", "a%1", "a_1", "a[1", "ab1", prefix]
        await backend.cache_set([CacheItem(key, b"x") for key in keys])

        assert await backend.cache_clear(prefix) == 2

        left = [key for key, value in zip(keys, await backend.cache_get(keys), strict=True) if value]
        assert left == [key for key in keys if not key.startswith(prefix)]
