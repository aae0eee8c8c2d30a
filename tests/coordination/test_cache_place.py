"""A cache in a place of its own, and one that cannot be reached."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from pathlib import Path

import pytest

from miniagent_store import (
    BackendUnavailableError,
    ConfigurationError,
    Key,
    Keyring,
    Message,
    StoreClosedError,
    StoreError,
    open_store,
)
from miniagent_store.testing.conformance import eventually
from miniagent_store.testing.servers import Server, free_port

LOGGER = "miniagent_store"


def cached_keys(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [key for (key,) in connection.execute("SELECT key FROM cache ORDER BY key")]
    finally:
        connection.close()


async def test_cached_values_are_in_their_own_place(tmp_path: Path) -> None:
    talks, cache = tmp_path / "talks.db", tmp_path / "cache.db"
    async with open_store(f"sqlite:///{talks}", cache_url=f"sqlite:///{cache}") as store:
        await store.append("s", Message.user("Hello"), create=True)
        await store.cache.set("key", [1, 2], tags=["tag"])

        @store.cache.cached(key="computed")
        async def compute() -> str:
            return "computed"

        assert [await compute(), await compute()] == ["computed", "computed"]
        assert (cached_keys(talks), cached_keys(cache)) == ([], ["default/computed", "default/key"])
        assert await store.cache.clear(tag="tag") == 1
    async with open_store(f"sqlite:///{talks}", cache_url=f"sqlite:///{cache}") as store:
        assert await store.cache.get("computed") == "computed"
        assert len(await store.history("s")) == 1
    with pytest.raises(StoreClosedError):
        await store.cache.get("computed")


@pytest.mark.parametrize("shred", [False, True])
async def test_its_values_are_encrypted_and_rotated_like_all_others(tmp_path: Path, shred: bool) -> None:
    path = tmp_path / "cache.db"
    url = f"sqlite:///{tmp_path}/talks.db?serializer=encrypted&shred={shred}"
    old, new = Key.generate("old"), Key.generate("new")
    place = f"sqlite:///{path}"
    async with open_store(url, keyring=Keyring([old]), cache_url=place) as store:
        await store.cache.set("key", "canaryword")
    assert b"canaryword" not in b"".join(
        each.read_bytes() for each in tmp_path.iterdir() if each.name.startswith("cache")
    )

    async with open_store(url, keyring=Keyring([new, old]), cache_url=place) as store:
        assert (await store.reencrypt()).failed == 0
    async with open_store(url, keyring=Keyring([new]), cache_url=place) as store:
        assert await store.cache.get("key") == "canaryword"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("nonsense", "not a store URL"),
        ("memory://?ttl=1h", "'ttl' is no option of a cache"),
        ("memory://?cache_url=memory://", "no option of a cache"),
        ("memory://?namespace=other", "'namespace' is no option of a cache"),
        ("elsewhere://", "elsewhere"),
    ],
)
def test_a_wrong_place_is_told_at_once(wrong: str, said: str) -> None:
    with pytest.raises(StoreError, match=said) as caught:
        open_store("memory://", cache_url=wrong)
    assert isinstance(caught.value, ConfigurationError)


def test_the_secret_of_the_place_is_not_shown() -> None:
    store = open_store("memory://?cache_url=redis://user:s3cret@localhost/0")
    assert "s3cret" not in f"{store!r} {store.url} {store._core.options!r}"  # type: ignore[attr-defined]


async def test_namespaces_and_tenants_are_apart_there_too(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    place = f"sqlite:///{path}?cache_max_size=1MiB"
    for namespace in ("one", "two"):
        async with open_store("memory://", namespace=namespace, cache_url=place) as store:
            tenant = store.tenant("acme")
            assert await store.cache.get_many(["one", "two"]) == {}
            await store.cache.set(namespace, 1)
            await tenant.cache.set("of", namespace, tags=["tag"])
            assert await store.cache.clear(tag="tag") == 0
            assert await tenant.cache.get("of") == namespace
            assert await tenant.cache.get(namespace) is None
    connection = sqlite3.connect(path)
    assert len(connection.execute("SELECT DISTINCT namespace FROM cache").fetchall()) == 4
    connection.close()


async def test_a_place_that_is_not_there_harms_no_session(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, LOGGER)
    calls = 0
    async with open_store("memory://", cache_url=f"redis://127.0.0.1:{free_port()}") as store:

        @store.cache.cached(ttl=60, negative=KeyError, negative_ttl=60)
        async def compute(number: int) -> int:
            nonlocal calls
            calls += 1
            return number

        async with store.turn("s", create=True) as turn:
            turn.append(Message.user("Hello"))
            await store.cache.set("key", 1)
            assert await store.cache.get("key", "default") == "default"
            assert [await compute(1), await compute(1), await compute(2)] == [1, 1, 2]
        assert len(await store.history("s")) == 1
        assert calls == 3
        with pytest.raises(BackendUnavailableError):
            await store.cache.delete("key")
        with pytest.raises(BackendUnavailableError):
            await store.cache.clear()
        assert (await store.stats()).hit_rate == 0

    warnings = [each.message for each in caplog.records if each.name == LOGGER]
    assert len(warnings) == 1
    assert "the cache cannot be used for now" in warnings[0]


async def test_a_place_that_comes_back_is_used_again() -> None:
    with Server() as server:
        async with open_store("memory://", cache_url=f"{server.url}?deadline=500ms") as store:

            @store.cache.cached(key="computed")
            async def compute() -> int:
                return 7

            await store.cache.set("key", 1)
            assert await compute() == 7
            server.kill()
            assert await store.cache.get("key") is None
            started = time.monotonic()
            assert [await compute() for _ in range(20)] == [7] * 20
            assert time.monotonic() - started < 5, "it is left alone for a while"
            server.start()

            async def is_kept() -> bool:
                await store.cache.set("key", 2)
                return await store.cache.get("key") == 2

            await eventually(is_kept)


async def test_a_cache_that_goes_away_while_one_waits() -> None:
    """The lock of a computation is in the same place: who waits for it computes by itself then."""
    with Server() as server:
        place = f"{server.url}?deadline=500ms"
        async with (
            open_store("memory://", cache_url=place) as one,
            open_store("memory://", cache_url=place) as other,
        ):
            begun, may_end = asyncio.Event(), asyncio.Event()

            async def slow() -> str:
                begun.set()
                await may_end.wait()
                return "slow"

            async def quick() -> str:
                return "quick"

            computing = asyncio.ensure_future(one.cache.cached(key="key")(slow)())
            await asyncio.wait_for(begun.wait(), 20)
            waiting = asyncio.ensure_future(other.cache.cached(key="key")(quick)())
            await asyncio.sleep(0.2)
            server.kill()

            assert await asyncio.wait_for(waiting, 20) == "quick"
            may_end.set()
            assert await asyncio.wait_for(computing, 20) == "slow"
