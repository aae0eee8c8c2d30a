"""The index of the cache: with the last value it is gone too, and what it does not know harms nobody."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from miniagent_backends.redis.caching import Caching
from miniagent_backends.redis.keys import BUCKETS
from miniagent_store import SessionStore, open_store
from miniagent_store.testing import backend_of, eventually
from miniagent_store.testing.servers import Server

LIMIT = 64 * 1024


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port) as client:
        yield client


@pytest.fixture
def namespace() -> str:
    return uuid.uuid4().hex


@pytest.fixture
async def store(server: Server, namespace: str) -> AsyncIterator[SessionStore]:
    async with open_store(server.url, namespace=namespace, cache_max_size=LIMIT) as store:
        yield store


def keys_of(client: redis.Redis, namespace: str) -> list[bytes]:
    return sorted(client.scan_iter(f"{namespace}/*", count=1000))


async def fill(store: SessionStore, count: int = 60) -> None:
    for number in range(count):
        tags = ["all", f"tag{number % 3}"] if number % 2 else []
        await store.cache.set(f"k{number}", b"x" * 300, ttl="1h" if number % 5 else None, tags=tags)


async def test_what_is_deleted_leaves_nothing(
    store: SessionStore, client: redis.Redis, namespace: str
) -> None:
    await fill(store)
    assert len(keys_of(client, namespace)) > 60

    assert await store.cache.delete_many(f"k{number}" for number in range(60)) == 60

    assert keys_of(client, namespace) == []


async def test_what_is_cleared_leaves_nothing(
    store: SessionStore, client: redis.Redis, namespace: str
) -> None:
    await fill(store)

    assert await store.cache.clear(tag="all") == 30
    assert await store.cache.clear() == 30

    assert keys_of(client, namespace) == []


async def test_what_expires_leaves_nothing(
    store: SessionStore, client: redis.Redis, namespace: str
) -> None:
    """Without anyone who looks: the index expires with the last value."""
    await store.cache.set_many({f"a{number}": 1 for number in range(40)}, ttl=None, tags=["one", "both"])
    await store.cache.set_many({f"b{number}": 1 for number in range(40)}, ttl=0.5, tags=["two", "both"])
    await store.cache.delete_many(f"a{number}" for number in range(40))
    assert keys_of(client, namespace)

    await eventually(lambda: keys_of(client, namespace) == [])


async def test_what_has_to_go_leaves_nothing(
    store: SessionStore, client: redis.Redis, namespace: str
) -> None:
    await fill(store, 600)
    values = [key for key in keys_of(client, namespace) if key.startswith(f"{namespace}/cache:".encode())]
    assert LIMIT * 3 // 4 < len(values) * 325 <= LIMIT
    for bucket in range(BUCKETS):
        sizes = client.hgetall(f"{namespace}/cached:{{{bucket}}}:sizes")
        # The empty name has the sum.
        total = int(sizes.pop(b""))
        held = (len(name) + client.strlen(f"{namespace}/cache:{name.decode()}") for name in sizes)
        assert total == sum(held)

    await store.cache.clear()

    assert keys_of(client, namespace) == []


async def test_a_value_that_the_index_knows_and_that_is_gone_is_in_nobodys_way(
    store: SessionStore, client: redis.Redis, namespace: str
) -> None:
    """As after a crash in the middle, or an eviction by the server."""
    await fill(store)
    for key in client.scan_iter(f"{namespace}/cache:*"):
        client.delete(key)

    assert await store.cache.get("k1") is None
    assert await store.cache.clear(tag="all") == 0
    await fill(store, 600)
    assert await store.cache.get("k599") is not None


async def test_where_there_is_no_room_it_is_read_and_cleared(
    store: SessionStore, client: redis.Redis, namespace: str
) -> None:
    await fill(store)
    client.config_set("maxmemory", "1mb")
    try:
        await store.cache.set("new", 1, tags=["all"])
        assert await eventually(lambda: store.cache.get("k59")) == b"x" * 300
        assert await store.cache.get("new") is None, "it was refused, and nobody was harmed"
        assert await store.cache.clear(tag="all") == 30
        assert await store.cache.clear() == 30
    finally:
        client.config_set("maxmemory", "0")

    assert keys_of(client, namespace) == []


async def test_a_lower_size_is_reached_step_by_step(server: Server, namespace: str) -> None:
    async with open_store(server.url, namespace=namespace, cache_max_size="none") as store:
        await fill(store, 300)
    async with open_store(server.url, namespace=namespace, cache_max_size=BUCKETS * 500) as store:
        await fill(store, 100)
        found, _ = await backend_of(store).cache_scan(None, 1000)
        assert sum(len(key) + len(value) for key, value in found) <= BUCKETS * 500


async def test_hits_cost_one_command_now_and_then(
    store: SessionStore, client: redis.Redis, namespace: str
) -> None:
    await store.cache.set("key", 1)
    client.config_resetstat()
    for _ in range(50):
        assert await store.cache.get("key") == 1

    def calls() -> tuple[int, int]:
        told = client.info("commandstats")
        return told["cmdstat_mget"]["calls"], told.get("cmdstat_zadd", {"calls": 0})["calls"]

    await eventually(lambda: calls() == (50, 1))


def test_each_bucket_has_its_share() -> None:
    caching = Caching(None, None, 64 * 2**20)  # type: ignore[arg-type]
    assert caching._share == 4 * 2**20
