"""The same promises on Sentinel and on Cluster, with and without replicas that acknowledge."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from miniagent_store.testing import StoreConformance
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.conformance.commits import CommitPromises
from miniagent_store.testing.conformance.concurrency import ConcurrencyPromises
from miniagent_store.testing.conformance.identity import IdentityPromises
from miniagent_store.testing.conformance.leases import LeasePromises
from miniagent_store.testing.conformance.listing import ListingPromises
from miniagent_store.testing.conformance.running import RunningPromises
from miniagent_store.testing.conformance.staging import StagingPromises
from miniagent_store.testing.conformance.tenants import TenantPromises
from miniagent_store.testing.conformance.turns import TurnPromises
from miniagent_store.testing.conformance.watching import WatchPromises
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import find_servers
from tests.redis.test_redis_servers import OTHERS, hold_a_conversation
from tests.redis.topologies.conftest import url_of

SERVERS = find_servers()


@pytest.fixture(scope="module", params=OTHERS)
def other_sentinels(request: pytest.FixtureRequest) -> Iterator[SentinelGroup]:
    with SentinelGroup(SERVERS[request.param]) as group:
        yield group


@pytest.fixture(scope="module", params=OTHERS)
def other_cluster(request: pytest.FixtureRequest) -> Iterator[ClusterGroup]:
    with ClusterGroup(SERVERS[request.param]) as group:
        yield group


class TestCluster(StoreConformance):
    """Each session on the master of its slot."""

    @pytest.fixture
    def store_url(self, cluster: ClusterGroup) -> str:
        return url_of(cluster)


@pytest.mark.asyncio(loop_scope="function")
class WhatDependsOnTheWay(
    CommitPromises,
    ConcurrencyPromises,
    IdentityPromises,
    LeasePromises,
    ListingPromises,
    RunningPromises,
    StagingPromises,
    TurnPromises,
    WatchPromises,
):
    """What commits, listings and watchers do with the topology; the rest with -m slow."""


class TestSentinel(WhatDependsOnTheWay, TenantPromises):
    """A master that the sentinels name."""

    @pytest.fixture
    def store_url(self, sentinels: SentinelGroup) -> str:
        return url_of(sentinels)


class TestClusterWithReplicas(WhatDependsOnTheWay):
    """Each commit is acknowledged by the replicas of its shard."""

    @pytest.fixture
    def store_url(self, cluster: ClusterGroup) -> str:
        return url_of(cluster, replicas="all")


@pytest.mark.slow
class TestSentinelInFull(StoreConformance):
    """All of it."""

    @pytest.fixture
    def store_url(self, sentinels: SentinelGroup) -> str:
        return url_of(sentinels)


@pytest.mark.slow
class TestSentinelWithReplicasInFull(StoreConformance):
    """All of it, and each commit is acknowledged by both replicas."""

    @pytest.fixture
    def store_url(self, sentinels: SentinelGroup) -> str:
        return url_of(sentinels, replicas="all")


@pytest.mark.slow
class TestClusterWithReplicasInFull(StoreConformance):
    """All of it, and each commit is acknowledged by the replicas of its shard."""

    @pytest.fixture
    def store_url(self, cluster: ClusterGroup) -> str:
        return url_of(cluster, replicas="all")


@pytest.mark.slow
class TestSentinelOfOtherServers(StoreConformance):
    """All of it, on the other servers."""

    @pytest.fixture
    def store_url(self, other_sentinels: SentinelGroup) -> str:
        return url_of(other_sentinels)


@pytest.mark.slow
class TestClusterOfOtherServers(StoreConformance):
    """All of it, on the other servers."""

    @pytest.fixture
    def store_url(self, other_cluster: ClusterGroup) -> str:
        return url_of(other_cluster)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("replicas", ["0", "all"])
async def test_sentinel_of_other_servers(
    other_sentinels: SentinelGroup, protocol: int, replicas: str
) -> None:
    await hold_a_conversation(url_of(other_sentinels, replicas=replicas), protocol=protocol)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("replicas", ["0", "all"])
async def test_cluster_of_other_servers(other_cluster: ClusterGroup, protocol: int, replicas: str) -> None:
    await hold_a_conversation(url_of(other_cluster, replicas=replicas), protocol=protocol)


@pytest.mark.parametrize("replicas", ["0", "all"])
async def test_passwords_of_servers_and_sentinels(replicas: str) -> None:
    with SentinelGroup(replicas=1, password="p@ss:word/", sentinel_password="s&p=w") as group:
        await hold_a_conversation(f"{group.url}&replicas={replicas}")
        group.fail_over()
        await hold_a_conversation(f"{group.url}&replicas={replicas}&namespace=after")


async def test_a_password_of_a_cluster() -> None:
    with ClusterGroup(password="p@ss:word/", replicas=0) as group:
        await hold_a_conversation(group.url)
