"""The same promises on Sentinel and on Cluster, with and without replicas that acknowledge."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from miniagent_store.testing import StoreConformance
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import find_servers

SERVERS = find_servers()


def url_of(group: SentinelGroup | ClusterGroup, **options: str) -> str:
    """For a test of its own: nobody else's sessions are seen."""
    pairs = {"namespace": uuid.uuid4().hex, **options}
    joint = "&" if "?" in group.url else "?"
    return group.url + joint + "&".join(f"{name}={value}" for name, value in pairs.items())


@pytest.fixture(scope="module")
def sentinels() -> Iterator[SentinelGroup]:
    with SentinelGroup() as group:
        yield group


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterGroup]:
    with ClusterGroup() as group:
        yield group


class TestSentinel(StoreConformance):
    """A master that the sentinels name."""

    @pytest.fixture
    def store_url(self, sentinels: SentinelGroup) -> str:
        return url_of(sentinels)


class TestCluster(StoreConformance):
    """Each session on the master of its slot."""

    @pytest.fixture
    def store_url(self, cluster: ClusterGroup) -> str:
        return url_of(cluster)


class TestClusterWithReplicas(StoreConformance):
    """The same, and each commit is acknowledged by the replicas."""

    @pytest.fixture
    def store_url(self, cluster: ClusterGroup) -> str:
        return url_of(cluster, replicas="all")
