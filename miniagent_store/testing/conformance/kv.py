"""Promises of `kv` and `user`: keys and values apart from any conversation."""

from __future__ import annotations

import asyncio

import pytest

from miniagent_store.errors import ConfigurationError, InvalidArgumentError, VersionConflictError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import ConformanceBase, OpenHere


class KeyValuePromises(ConformanceBase):
    """Collections of keys and values."""

    @pytest.mark.parametrize("shards", [1, 4])
    async def test_a_collection_needs_no_making(self, store: SessionStore, shards: int) -> None:
        kv = store.kv("settings", shards=shards)

        assert await kv.get("missing", "default") == "default"
        assert await kv.get_many(["missing"]) == {}
        assert await kv.scan() == []
        assert await kv.pop("missing", "default") == "default"
        assert await kv.ttl("missing") is None
        await kv.clear()

        await kv.set("theme", {"dark": True})
        assert await kv.get("theme") == {"dark": True}

    @pytest.mark.parametrize("shards", [1, 4])
    async def test_many_keys_over_many_shards(self, store: SessionStore, shards: int) -> None:
        kv = store.kv("big", shards=shards)
        values = {f"key/{number:02}": number for number in range(40)}

        await kv.set_many(values)

        assert await kv.get_many([*values, "missing"]) == values
        assert [tuple(each) for each in await kv.scan("key/")] == list(values.items())
        backward = await kv.scan("key/", start="key/20", limit=3, reverse=True)
        assert [each.name for each in backward] == ["key/20", "key/19", "key/18"]
        assert [each.value for each in await kv.scan(start="key/38")] == [38, 39]
        await kv.clear()
        assert await kv.scan() == []

    async def test_keys_are_set_once_compared_counted_and_removed(self, store: SessionStore) -> None:
        kv = store.kv("settings")

        assert await kv.set_if_absent("a", 1) is True
        assert await kv.set_if_absent("a", 2) is False
        item = await kv.item("a")
        assert item is not None
        await kv.set("a", 3, if_version=item.version)
        with pytest.raises(VersionConflictError):
            await kv.set("a", 4, if_version=item.version)
        assert await kv.add("n", 2) == 2
        assert await kv.delete("a") is True
        assert await kv.delete("a") is False
        assert await kv.get("a") is None

    async def test_one_caller_pops_a_value(self, store: SessionStore) -> None:
        kv = store.kv("jobs")
        await kv.set("job", "work")

        got = await asyncio.gather(*[kv.pop("job", "nothing") for _ in range(5)])

        assert sorted(got) == ["nothing"] * 4 + ["work"]

    async def test_a_value_tells_its_own_ttl(self, store: SessionStore) -> None:
        kv = store.kv("settings")
        await kv.set("short", 1, ttl="1h")
        await kv.set("long", 1)

        ttl = await kv.ttl("short")

        assert ttl is not None
        assert 3500 < ttl <= 3600
        assert await kv.ttl("long") is None

    async def test_collections_and_users_are_apart(self, store: SessionStore) -> None:
        await store.kv("ada").set("key", "collection")
        await store.user("ada").set("key", "user")
        await store.kv("ada/lovelace").set("key", "other")
        await store.create("ada")

        assert await store.kv("ada").get("key") == "collection"
        assert await store.user("ada").get("key") == "user"
        assert await store.kv("ada/lovelace").get("key") == "other"
        assert await store.user("bob").get("key") is None

    async def test_collections_are_no_sessions(self, store: SessionStore) -> None:
        await store.kv("settings").set("key", 1)
        await store.user("ada").set("key", 1)

        assert list(await store.list()) == []
        assert len(await store.list(kind="kv")) == 2
        assert (await store.stats()).sessions == {"kv": 2}

    async def test_collections_have_no_default_ttl_and_no_size_limit(self, open_here: OpenHere) -> None:
        store = await open_here(ttl=0.05, max_session_size=100)
        kv = store.kv("settings")

        await kv.set("key", "x" * 1000)

        [record] = await store.list(kind="kv")
        assert record.expires_at is None
        assert await kv.get("key") == "x" * 1000

    async def test_shards_are_fixed_by_the_first_write(
        self, store: SessionStore, other: SessionStore
    ) -> None:
        await store.kv("big", shards=4).set("key", 1)

        with pytest.raises(ConfigurationError):
            await other.kv("big", shards=8).get("key")
        with pytest.raises(ConfigurationError):
            await other.kv("big").set("key", 2)
        assert await other.kv("big", shards=4).get("key") == 1

    async def test_impossible_shards_are_refused(self, store: SessionStore) -> None:
        for shards in (0, -1, 5000):
            with pytest.raises(InvalidArgumentError):
                store.kv("big", shards=shards)
