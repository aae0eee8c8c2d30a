"""Promises of walks over all that is stored, and of cached bytes that are written anew."""

from __future__ import annotations

import pytest

from miniagent_store.backend import Backend, CacheItem
from miniagent_store.testing.conformance.base import ConformanceBase, append, commit, eventually, make


async def all_ids(backend: Backend, kind: str = "session", limit: int = 100) -> list[str]:
    """Ids of a whole walk."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        ids, cursor = await backend.session_ids(kind, cursor, limit)
        found += ids
        if cursor is None:
            return found


async def all_cached(backend: Backend, limit: int = 100) -> dict[str, bytes]:
    """All that is cached."""
    found: dict[str, bytes] = {}
    cursor: str | None = None
    while True:
        items, cursor = await backend.cache_scan(cursor, limit)
        found.update(items)
        if cursor is None:
            return found


class WalkPromises(ConformanceBase):
    """`kinds`, `session_ids`, `cache_scan` and `cache_replace`."""

    async def test_there_are_all_kinds(self, backend: Backend) -> None:
        assert set(await backend.kinds()) <= {"session"}
        await make(backend, "s")
        await make(backend, "t", kind="thread")
        await make(backend, "k", kind="kv")
        await make(backend, "gone", kind="gone")
        await backend.delete("gone")

        kinds = await backend.kinds()

        assert len(kinds) == len(set(kinds))
        assert {"session", "thread", "kv"} <= set(kinds) <= {"session", "thread", "kv", "gone"}

    @pytest.mark.parametrize("limit", [1, 7, 1_000])
    async def test_a_walk_finds_every_session_of_its_kind(self, backend: Backend, limit: int) -> None:
        assert await all_ids(backend, limit=limit) == []
        ids = {f"s{number}" for number in range(40)} | {"{日本} *?[x]"}
        for session_id in ids:
            await make(backend, session_id)
        await make(backend, "t", kind="thread")
        await make(backend, "gone")
        await backend.delete("gone")

        assert ids <= set(await all_ids(backend, limit=limit)) <= ids | {"gone"}
        assert await all_ids(backend, "thread", limit) == ["t"]
        assert await all_ids(backend, "nothing", limit) == []

    async def test_a_walk_misses_no_session_that_moves_in_listings(self, backend: Backend) -> None:
        ids = [f"s{number:03}" for number in range(200)]
        for session_id in ids:
            await make(backend, session_id)
        found: set[str] = set()
        cursor: str | None = None
        counter = 0
        while True:
            page, cursor = await backend.session_ids("session", cursor, 10)
            found.update(page)
            if cursor is None:
                break
            # Active last of all, or before all others: what a commit says of its time is the caller's word.
            for at in range(counter, counter + 20):
                moved = commit(
                    backend,
                    ids[-1 - at % len(ids)],
                    at + 1,
                    changes=append(b"x"),
                    last_activity_ms=1 if at % 2 else backend.now_ms() + at,
                )
                await backend.commit(moved)
            counter += 20
            await make(backend, f"new{counter}")

        assert set(ids) <= found

    @pytest.mark.parametrize("limit", [1, 7, 1_000])
    async def test_a_walk_finds_all_that_is_cached(self, backend: Backend, limit: int) -> None:
        assert await all_cached(backend, limit) == {}
        items = {f"key{number}": b"%d\x00\xff" % number for number in range(40)}
        items |= {"": b"", "{日本} *?[x]": b"x", "a/b:c": b"y" * 10_000}
        await backend.cache_set([CacheItem(key, value, 3_600_000) for key, value in items.items()])
        await make(backend, "s", b"not cached")

        assert await all_cached(backend, limit) == items

    async def test_what_has_expired_is_not_found(self, backend: Backend) -> None:
        await backend.cache_set([CacheItem("short", b"x", 50), CacheItem("long", b"x")])

        async def is_gone() -> bool:
            return await all_cached(backend) == {"long": b"x"}

        await eventually(is_gone)

    async def test_a_cached_value_is_replaced_if_it_is_the_old_one(self, backend: Backend) -> None:
        await backend.cache_set([CacheItem("key", b"old\x00")])

        assert not await backend.cache_replace("key", b"other", b"new")
        assert not await backend.cache_replace("missing", b"", b"new")
        assert await backend.cache_replace("key", b"old\x00", b"\xffnew")
        assert not await backend.cache_replace("key", b"old\x00", b"again")

        assert await all_cached(backend) == {"key": b"\xffnew"}

    async def test_a_replaced_value_keeps_its_ttl(self, backend: Backend) -> None:
        await backend.cache_set(
            [
                CacheItem("short", b"old", 1_000),
                CacheItem("long", b"old", 3_600_000),
                CacheItem("ever", b"old"),
            ]
        )
        for key in ("short", "long", "ever"):
            assert await backend.cache_replace(key, b"old", b"new")

        async def is_gone() -> bool:
            return await backend.cache_get(["short"]) == [None]

        await eventually(is_gone)
        assert await backend.cache_get(["long", "ever"]) == [b"new", b"new"]
        assert not await backend.cache_replace("short", b"new", b"newer")
        assert not await backend.cache_replace("short", b"old", b"new")
