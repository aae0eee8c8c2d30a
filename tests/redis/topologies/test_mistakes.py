"""What is wrong in a URL is told at once, with what to write instead."""

from __future__ import annotations

import time

import pytest

from miniagent_store import (
    AccessDeniedError,
    BackendUnavailableError,
    ConfigurationError,
    StoreError,
    open_store,
)
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import Server, free_port
from tests.redis.topologies.conftest import url_of


async def refusal_of(url: str) -> StoreError:
    began = time.monotonic()
    with pytest.raises(StoreError) as caught:
        async with open_store(url):
            pass
    assert time.monotonic() - began < 4
    return caught.value


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "redis+sentinel://localhost:26379",
            "names no master; write redis\\+sentinel://host:26379/mymaster/0",
        ),
        ("redis+sentinel://localhost:26379/mymaster/first", "the database is a number"),
        ("redis+cluster://localhost:7000/1", "a Cluster has one database only"),
        ("redis://a:6379,b:6379", "names several servers; .* redis\\+sentinel:// or redis\\+cluster://"),
        ("redis://localhost?replicas=all", "only Sentinel and Cluster know .* replicas=2"),
        (
            "redis+cluster://localhost:7000?replicas=most",
            "option 'replicas' is a number or 'all', not 'most'",
        ),
        ("redis+cluster://localhost:7000?address_remap=here", "option 'address_remap'"),
        ("redis+clusters://localhost:7000", "redis\\+cluster"),
    ],
)
def test_a_url_that_makes_no_sense(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        open_store(url)


async def test_a_master_that_the_sentinels_do_not_know(sentinels: SentinelGroup) -> None:
    error = await refusal_of(sentinels.url.replace("/mymaster/", "/mistress/"))

    assert isinstance(error, ConfigurationError)
    assert "knows no master 'mistress' (it knows: mymaster)" in str(error)


async def test_a_server_that_is_no_sentinel(server: Server) -> None:
    error = await refusal_of(f"redis+sentinel://127.0.0.1:{server.port}/mymaster/0")

    assert isinstance(error, ConfigurationError)
    assert "is no sentinel" in str(error)
    assert "redis://" in str(error)


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_a_sentinel_taken_for_a_server(sentinels: SentinelGroup, scheme: str) -> None:
    error = await refusal_of(f"{scheme}://127.0.0.1:{sentinels.sentinels[0].port}")

    assert isinstance(error, ConfigurationError)
    assert "is a sentinel; write redis+sentinel://" in str(error)


async def test_a_cluster_that_speaks_no_tls(cluster: ClusterGroup) -> None:
    error = await refusal_of(cluster.url.replace("redis", "rediss"))

    assert isinstance(error, BackendUnavailableError)
    assert "write redis:// instead of rediss://" in str(error)


async def test_a_server_that_is_no_cluster(server: Server) -> None:
    error = await refusal_of(f"redis+cluster://127.0.0.1:{server.port}")

    assert isinstance(error, ConfigurationError)
    assert "is not part of a Cluster; write redis://" in str(error)


async def test_one_node_of_a_cluster(cluster: ClusterGroup) -> None:
    url = f"redis://127.0.0.1:{cluster.servers[0].port}"
    async with open_store(url) as store:
        with pytest.raises(ConfigurationError, match=r"is part of a Cluster; write redis\+cluster://"):
            for number in range(20):
                await store.create(f"s{number}")


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
async def test_nobody_there(kind: str) -> None:
    path = "/mymaster/0" if kind == "sentinel" else ""
    error = await refusal_of(f"redis+{kind}://127.0.0.1:{free_port()},127.0.0.1:{free_port()}{path}")

    assert isinstance(error, BackendUnavailableError)
    assert "cannot be reached" in str(error)


async def test_passwords_of_sentinels_are_their_own_and_never_shown() -> None:
    with SentinelGroup(replicas=1, password="of-the-data", sentinel_password="of-the-sentinels") as group:
        async with open_store(url_of(group)) as store:
            await store.create("s")
            assert "of-the" not in repr(store)
        wrong = await refusal_of(group.url.replace("of-the-sentinels", "wrong-one"))
        other = await refusal_of(group.url.replace("of-the-data", "wrong-one"))

    assert isinstance(wrong, AccessDeniedError)
    assert "the sentinel at" in str(wrong)
    assert isinstance(other, AccessDeniedError)
    assert "sentinel" not in str(other)
    for error in (wrong, other):
        assert "of-the" not in str(error)
        assert "wrong-one" not in str(error)


async def test_a_cluster_that_is_not_made_yet() -> None:
    with Server(config={"cluster-enabled": "yes"}) as server:
        error = await refusal_of(f"redis+cluster://127.0.0.1:{server.port}")

    assert isinstance(error, BackendUnavailableError)
    assert "is the Cluster made?" in str(error)
