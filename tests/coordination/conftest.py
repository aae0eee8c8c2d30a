"""Where the tests of coordination run: a file, one server, Sentinel, Cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from miniagent_store.testing.servers import find_servers
from tests.faults.deployments import Deployment, deploy

BINARY = next(iter(find_servers().values()))


@pytest.fixture(scope="session")
def standalone() -> Iterator[Deployment]:
    with deploy("standalone", BINARY) as deployment:
        yield deployment


@pytest.fixture(scope="session")
def sentinel() -> Iterator[Deployment]:
    with deploy("sentinel", BINARY) as deployment:
        yield deployment


@pytest.fixture(scope="session")
def cluster() -> Iterator[Deployment]:
    with deploy("cluster", BINARY) as deployment:
        yield deployment


# What does not make a master fall is for a master behind Sentinel as for a server alone.
SENTINEL = pytest.param("sentinel", marks=pytest.mark.slow)


@pytest.fixture(params=["standalone", "cluster", SENTINEL])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """Servers that run; each test leaves them as it found them."""
    found: Deployment = request.getfixturevalue(request.param)
    found.settle()
    return found


@pytest.fixture(params=["sqlite", "standalone", SENTINEL, pytest.param("cluster", marks=pytest.mark.slow)])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What several processes can open."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/sessions.db"
    found: Deployment = request.getfixturevalue(request.param)
    found.settle()
    return found.url
