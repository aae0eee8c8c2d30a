"""`MiniAgentStorage`: keys, values, and what happens where two write one key."""

from __future__ import annotations

import asyncio
import pickle
import random
from typing import Any

import pytest
from strands.storage import InMemoryStorage
from strands.types.exceptions import StorageError

from miniagent_store import open_store
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.strands import MiniAgentStorage


async def test_the_same_as_the_storage_in_memory(url: str) -> None:
    rng = random.Random(7)
    parts = ["session", "a", "b c", "ä{}", "%2F", "s.json", "n\n", "context", "x" * 60]
    ours, theirs = MiniAgentStorage(url), InMemoryStorage()
    keys = ["/".join(rng.choices(parts, k=rng.randint(1, 6))) for _ in range(25)]
    for step in range(150):
        key = rng.choice(keys)
        match rng.choice(["write", "write", "read", "delete", "list", "scoped"]):
            case "write":
                data = rng.randbytes(rng.choice([0, 5, 900]))
                await ours.write(key, data)
                await theirs.write(key, data)
            case "read":
                assert await ours.read(key) == await theirs.read(key), step
            case "delete":
                await ours.delete(key)
                await theirs.delete(key)
            case "list":
                query = key[: rng.randint(0, len(key))]
                assert await ours.list(query) == await theirs.list(query), (step, query)
            case _:
                some = rng.choice(parts)
                assert await ours.namespace(some).list("") == await theirs.namespace(some).list("")
    assert await ours.list() == await theirs.list()
    assert sorted(each.key for each in await ours.search("session")) == sorted(
        each.key for each in await theirs.search("session")
    )


@pytest.mark.parametrize("key", ["", "/", "a/../b", "..", "a\\b"])
async def test_keys_that_are_refused(key: str) -> None:
    storage = MiniAgentStorage("memory://refused")
    for call in (storage.read(key), storage.write(key, b"x"), storage.delete(key)):
        with pytest.raises(StorageError):
            await call


async def test_a_key_that_is_too_long_is_refused_without_naming_it() -> None:
    with pytest.raises(StorageError) as caught:
        await MiniAgentStorage("memory://long").write(f"session/{'long' * 200}/x", b"payload")
    assert "payload" not in str(caught.value)
    assert len(str(caught.value)) < 250


async def test_what_was_read_and_changed_since_is_not_overwritten(url: str) -> None:
    key = "session/s/scopes/agent/a/snapshots/snapshot_latest.json"
    one, other = MiniAgentStorage(url), MiniAgentStorage(url)
    assert await one.read(key) is None
    assert await other.read(key) is None
    await one.write(key, b"1")
    with pytest.raises(StorageError, match="another writer"):
        await other.write(key, b"2")
    assert await other.read(key) == b"1"
    await other.write(key, b"2")
    await other.write(key, b"3")
    with pytest.raises(StorageError, match="another writer"):
        await one.write(key, b"4")
    assert await one.read(key) == b"3"
    await other.delete(key)
    with pytest.raises(StorageError, match="another writer"):
        await one.write(key, b"5")


async def test_a_session_made_anew_is_another(url: str) -> None:
    """Versions of values count from the session's beginning, and so come again."""
    key = "session/s/x"
    stale, other = MiniAgentStorage(url), MiniAgentStorage(url)
    await other.write(key, b"old")
    assert await stale.read(key) == b"old"
    handle = StoreHandle(url)
    assert await handle.run(lambda store: store.delete("strands-storage/session/s"))
    await handle.aclose()
    await other.write(key, b"new")
    with pytest.raises(StorageError, match="another writer"):
        await stale.write(key, b"stale")
    assert await other.read(key) == b"new"


async def test_a_search_does_not_count_as_reading(url: str) -> None:
    key = "session/s/note"
    one, other = MiniAgentStorage(url), MiniAgentStorage(url)
    await one.read(key)
    await other.write(key, b"theirs words")
    assert [each.key for each in await one.search("words")] == [key]
    with pytest.raises(StorageError, match="another writer"):
        await one.write(key, b"mine")


async def test_a_log_of_the_session_that_is_changed_is_no_conflict() -> None:
    async with open_store("memory://") as store:
        storage = MiniAgentStorage(store)
        await storage.write("session/s/x", b"1")
        await storage.read("session/s/x")
        await store.append("strands-storage/session/s", {"role": "user", "content": "a note"})
        await store.clear("strands-storage/session/s")
        await storage.write("session/s/x", b"2")
        assert await storage.read("session/s/x") == b"2"


async def test_a_value_that_is_not_ours_is_an_error() -> None:
    async with open_store("memory://") as store:
        storage = MiniAgentStorage(store)
        await storage.write("session/s/x", b"1")
        await store.state("strands-storage/session/s").set("data/x", {"not": "bytes"})
        with pytest.raises(StorageError, match="not written by"):
            await storage.read("session/s/x")


async def test_ttl(url: str) -> None:
    await MiniAgentStorage(f"{url}&ttl=1h").write("session/s/x", b"1")
    handle = StoreHandle(url)
    session = await handle.run(lambda store: store.get("strands-storage/session/s"))
    assert session.ttl == 3600
    await handle.aclose()


async def test_a_commit_that_has_begun_ends(url: str) -> None:
    storage = MiniAgentStorage(url)
    assert await storage.read("session/s/x") is None
    writing = asyncio.create_task(storage.write("session/s/x", b"1"))
    await asyncio.sleep(0)
    for _ in range(3):
        writing.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await writing
    # It is known here as written, and no conflict.
    await storage.write("session/s/x", b"2")
    assert await storage.read("session/s/x") == b"2"


async def test_pickled(durable_url: str) -> None:
    storage: Any = MiniAgentStorage(durable_url, prefix="mine").namespace("session")
    await storage.write("s/x", b"1")
    again = pickle.loads(pickle.dumps(storage))
    assert await again.read("s/x") == b"1"
    assert again._namespaced is storage._namespaced
