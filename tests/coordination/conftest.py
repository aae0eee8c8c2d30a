"""Where the tests of coordination run: a file, one server, Sentinel, Cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import Server

Place = Server | SentinelGroup | ClusterGroup


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="session")
def sentinels() -> Iterator[SentinelGroup]:
    with SentinelGroup() as group:
        yield group


@pytest.fixture(scope="session")
def cluster() -> Iterator[ClusterGroup]:
    with ClusterGroup() as group:
        yield group


@pytest.fixture(params=["server", "sentinels", "cluster"])
def place(request: pytest.FixtureRequest) -> Place:
    """Servers that run; each test leaves them as it found them."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["sqlite", "server", "sentinels", "cluster"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What several processes can open."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/sessions.db"
    found: Place = request.getfixturevalue(request.param)
    return found.url
