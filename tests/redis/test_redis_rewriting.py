"""What the server holds after a rewrite: TTLs to the millisecond, and no word to anyone."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagent_backends.redis.backend import RedisBackend
from miniagent_store import open_store
from miniagent_store.backend import Backend, CacheItem, Expected, Topic
from miniagent_store.testing import backend_of
from miniagent_store.testing.conformance.base import append, commit, make
from miniagent_store.testing.conformance.rewriting_bytes import (
    NEW,
    OLD,
    make_full,
    record_in,
    renewal,
    whole,
)
from miniagent_store.testing.servers import Server


@pytest.fixture
def url(each_server: Server) -> str:
    return f"{each_server.url}?namespace={uuid.uuid4().hex}"


@pytest.fixture
async def backend(url: str) -> AsyncIterator[RedisBackend]:
    async with open_store(url) as store:
        await store.open()
        backend = backend_of(store)
        assert isinstance(backend, RedisBackend)
        yield backend


@pytest.fixture
async def another(url: str) -> AsyncIterator[Backend]:
    async with open_store(url) as store:
        await store.open()
        yield backend_of(store)


async def expiries(backend: RedisBackend) -> dict[bytes, Any]:
    """When each key of the namespace expires, in the server's milliseconds."""
    node = backend._executor
    names = await node.execute("KEYS", f"{backend._keys.start}*")
    return {name: await node.execute("PEXPIRETIME", name) for name in names}


async def test_a_rewrite_leaves_every_expiry_as_it_is(backend: RedisBackend) -> None:
    await make_full(backend)
    await backend.cache_set([CacheItem("key", OLD, 3_600_000), CacheItem("ever", OLD)])
    # Not told with the commit: places in listings and the like are to be there before we look.
    await backend.ping()
    before = await expiries(backend)

    assert (await backend.rewrite(renewal(await whole(backend)))).replaced == 10
    assert await backend.cache_replace("key", OLD, NEW)
    assert await backend.cache_replace("ever", OLD, NEW)

    assert await expiries(backend) == before
    assert sum(due > 0 for due in before.values()) >= 7


async def test_a_rewrite_wakes_no_one(backend: RedisBackend, another: Backend) -> None:
    await make_full(backend)
    topics = [Topic("session", "s"), Topic("store")]
    subscriptions = [await another.subscribe(topic) for topic in topics]
    # Until what the creation has told is heard, which may be held back for a second.
    for subscription in subscriptions:
        while await subscription.wait(1.2):
            pass

    assert (await backend.rewrite(renewal(await whole(backend)))).replaced == 10

    assert [await subscription.wait(0.3) for subscription in subscriptions] == [False, False]
    await backend.commit(commit(backend, "s", 3, changes=append(b"x")))
    assert [await subscription.wait(10) for subscription in subscriptions] == [True, True]


async def test_a_commit_that_expects_an_incarnation_goes_the_fast_way(backend: RedisBackend) -> None:
    await make(backend, "s", b"1")
    record = (await backend.commit(commit(backend, "s", 1, changes=append(b"2")))).record
    same, another = Expected(incarnation=record.incarnation), Expected(incarnation="another")
    now = backend.now_ms()

    def is_fast(counter: int, expected: Expected) -> bool:
        asked = commit(backend, "s", counter, changes=append(b"3"), expected=expected)
        return backend._known.prepare(asked, now) is not None

    assert not is_fast(2, another)
    assert not is_fast(3, Expected(record.version, record.incarnation))
    assert is_fast(4, same)


async def test_a_commit_made_ready_before_a_rewrite_goes_the_general_way(
    backend: RedisBackend, another: Backend
) -> None:
    await make(backend, "s", OLD, metadata=OLD)
    await backend.commit(commit(backend, "s", 1, changes=append(OLD)))
    asked = commit(backend, "s", 2, changes=append(OLD))
    ready = backend._known.prepare(asked, backend.now_ms())
    assert ready is not None

    assert (await another.rewrite(renewal(await whole(another)))).replaced == 3

    assert not (await backend._executor.write_alone(ready.key, ready.command)).reply
    backend._known.forget("s")
    record = (await backend.commit(asked)).record
    assert (record.version, record.metadata) == (3, NEW)
    assert record_in(await whole(another)) == record


async def test_names_that_are_no_text_and_other_kinds_of_keys_are_passed_over(
    backend: RedisBackend,
) -> None:
    start = backend._keys.cached("")
    await backend._executor.execute("SET", start.encode() + b"\xff\xfe", b"x")
    await backend._executor.execute("RPUSH", f"{start}list", b"x")
    await backend.cache_set([CacheItem("key", b"x")])

    found: list[tuple[str, bytes]] = []
    cursor = None
    while True:
        page, cursor = await backend.cache_scan(cursor, 100)
        found += page
        if cursor is None:
            break

    assert found == [("key", b"x")]
