"""The store as py-key-value's protocol has it, and what it offers beyond."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from key_value.aio.errors import InvalidTTLError, SerializationError
from key_value.aio.protocols.key_value import (
    AsyncCullProtocol,
    AsyncDestroyCollectionProtocol,
    AsyncDestroyStoreProtocol,
    AsyncEnumerateCollectionsProtocol,
    AsyncEnumerateKeysProtocol,
    AsyncKeyValueProtocol,
)

from miniagent_store import open_store
from miniagent_store.errors import ConfigurationError
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.key_value import MiniAgentKeyValueStore
from miniagent_store.testing.servers import Server
from tests.integrations.conftest import Encrypted

PROTOCOLS = (
    AsyncKeyValueProtocol,
    AsyncCullProtocol,
    AsyncEnumerateKeysProtocol,
    AsyncEnumerateCollectionsProtocol,
    AsyncDestroyStoreProtocol,
    AsyncDestroyCollectionProtocol,
)
VALUES: list[dict[str, Any]] = [
    {},
    {"null": None, "list": [None, True, 1, 1.5, "x"]},
    {"1": {"deep": {"deeper": [{"deepest": "é 日本 \n \U0001f30d"}]}}},
    {"large": "a" * 10_000, "number": 10**30, "items": list(range(1000))},
]
NAMES = ["plain", "", " ", "a/b", "a%2Fb", "{a}", "!@#$%^&*()", "\n", "日本", "k" * 3000, "k" * 3001]


async def test_values_come_back_as_they_were(url: str) -> None:
    store = MiniAgentKeyValueStore(url)
    assert all(isinstance(store, each) for each in PROTOCOLS)
    for value in VALUES:
        assert await store.get("k") != value
        await store.put("k", value)
        assert await store.get("k") == value
    await store.put("k", {"tuple": (1, 2)})
    assert await store.get("k") == {"tuple": [1, 2]}
    assert await store.ttl("k") == ({"tuple": [1, 2]}, None)
    assert (await store.delete("k"), await store.delete("k"), await store.get("k")) == (True, False, None)
    await store.handle.aclose()


async def test_any_text_is_a_key_or_a_collection(url: str) -> None:
    store = MiniAgentKeyValueStore(url, shards=2)
    named = [name for name in NAMES if name]
    for name in named:
        await store.put(name, {"name": name}, collection="keys")
        await store.put("k", {"name": name}, collection=name)
    assert await store.get_many(named, collection="keys") == [{"name": name} for name in named]
    assert [await store.get("k", collection=name) for name in named] == [{"name": name} for name in named]
    assert sorted(await store.keys("keys")) == sorted(named)
    assert sorted(await store.collections()) == sorted(["keys", *named])
    assert len(await store.keys("keys", limit=3)) == 3
    await store.handle.aclose()


async def test_many_at_once(url: str) -> None:
    store = MiniAgentKeyValueStore(url)
    keys, values = [str(n) for n in range(100)], [{"n": n} for n in range(100)]
    await store.put_many(keys, values, ttl=100)
    assert await store.get_many([*keys, "none"]) == [*values, None]
    value, ttl = (await store.ttl_many(["7"]))[0]
    assert value == {"n": 7}
    assert ttl is not None
    assert 90 < ttl <= 100
    assert await store.delete_many([*keys[:10], "none", "0"]) == 10
    assert sorted(await store.keys()) == sorted(keys[10:])
    await store.cull()
    assert await store.destroy_collection("default_collection")
    assert not await store.destroy_collection("default_collection")
    assert await store.keys() == []
    await store.put("k", {}, collection="other")
    assert await store.destroy()
    assert await store.keys("other") == []
    await store.handle.aclose()


async def test_an_entry_expires(url: str) -> None:
    store = MiniAgentKeyValueStore(url)
    await store.put("short", {"v": 1}, ttl=0.8)
    await store.put("long", {"v": 1}, ttl=60)
    assert await store.get("short") == {"v": 1}
    await asyncio.sleep(0.9)
    assert await store.get_many(["short", "long"]) == [None, {"v": 1}]
    assert await store.keys() == ["long"]
    await store.put("long", {"v": 2})
    assert await store.ttl("long") == ({"v": 2}, None)
    await store.handle.aclose()


async def test_what_cannot_be_kept() -> None:
    store = MiniAgentKeyValueStore("memory://")
    for value in (datetime.now(UTC), {1}, b"x", object()):
        with pytest.raises(SerializationError) as caught:
            await store.put("k", {"word": "canary", "value": value})
        assert "canary" not in str(caught.value)
    for ttl in (0, -1):
        with pytest.raises(InvalidTTLError):
            await store.put("k", {}, ttl=ttl)
        with pytest.raises(InvalidTTLError):
            await store.put_if_absent("k", {}, ttl=ttl)
    assert await store.get("k") is None
    await store.handle.aclose()


async def test_compare_and_set(url: str) -> None:
    store = MiniAgentKeyValueStore(url)
    assert await store.get_with_version("k") == (None, 0)
    assert await store.put_if_absent("k", {"n": 0})
    assert not await store.put_if_absent("k", {"n": 9})

    async def add(times: int) -> None:
        for _ in range(times):
            while True:
                value, version = await store.get_with_version("k")
                assert value is not None
                if await store.compare_and_set("k", {"n": value["n"] + 1}, version=version, ttl=60):
                    break

    await asyncio.gather(*(add(10) for _ in range(4)))
    value, ttl = await store.ttl("k")
    assert value == {"n": 40}
    assert ttl is not None
    await store.handle.aclose()


async def test_shards_are_fixed(url: str) -> None:
    async with open_store(url) as opened:
        await MiniAgentKeyValueStore(opened, shards=4).put("k", {"v": 1})
    async with open_store(url) as opened:
        if not url.startswith("memory"):
            with pytest.raises(ConfigurationError, match="shards"):
                await MiniAgentKeyValueStore(opened).get("k")


def test_no_warning_when_made() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MiniAgentKeyValueStore("memory://")


def test_fresh_loops_and_threads(url: str) -> None:
    store = MiniAgentKeyValueStore(url)

    async def several(start: int) -> None:
        await asyncio.gather(
            *(store.put(str(n), {"n": n}, collection=str(n % 3)) for n in range(start, start + 5))
        )

    for n in range(0, 25, 5):
        asyncio.run(several(n))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: asyncio.run(several(n)), range(25, 50, 5)))
    again = pickle.loads(pickle.dumps(store))
    assert sum(len(asyncio.run(again.keys(str(n)))) for n in range(3)) == 50
    store.handle.close()


def test_nothing_is_left_behind(redis_server: Server) -> None:
    url = f"{redis_server.url}/0?namespace=left&deadline=20s"

    def open_connections() -> int:
        return len(redis_server.command("CLIENT", "LIST").strip().splitlines())

    keep = StoreHandle(url)
    asyncio.run(MiniAgentKeyValueStore(keep).put("k", {}))
    threads, connections = threading.active_count(), open_connections()
    for _ in range(10):
        store = MiniAgentKeyValueStore(url)
        asyncio.run(store.put("k", {}))
        store.handle.close()
    gc.collect()
    assert threading.active_count() <= threads
    assert open_connections() <= connections
    keep.close()


async def test_no_word_stands_in_redis(encrypted: Encrypted) -> None:
    store = MiniAgentKeyValueStore(encrypted.url)
    await store.put("k", {"canary": "canary"}, ttl=60)
    await store.compare_and_set("l", {"canary": "canary"}, version=0)
    assert await store.get("k") == {"canary": "canary"}
    encrypted.assert_absent(b"canary")
    await store.handle.aclose()
