"""Stores of each kind, and one browser for all tests of the viewer.

Tests here share a loop, in which the browser lives: see `pytest_collection_modifyitems`.
"""

from __future__ import annotations

import inspect
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from miniagent_store import SessionStore, open_store
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.servers import Server
from tests.web.browser import launched

_numbers = itertools.count()
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One loop for all: a browser belongs to the loop that started it."""
    for item in items:
        if HERE in item.path.parents and inspect.iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[ClusterGroup]:
    with ClusterGroup() as group:
        yield group


@pytest.fixture(params=["sqlite", "redis", "cluster"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, with the beginning of a query: each kind in turn."""
    return url_of(request, request.param, tmp_path)


@pytest.fixture
def one_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store on SQLite, for what does not depend on where it is kept."""
    return url_of(request, "sqlite", tmp_path)


@pytest.fixture
def redis_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store on Redis."""
    return url_of(request, "redis", tmp_path)


def url_of(request: pytest.FixtureRequest, kind: str, folder: Path) -> str:
    """An empty store of a kind: "sqlite", "redis" or "cluster"."""
    if kind == "sqlite":
        return f"sqlite:///{folder}/sessions.db?deadline=20s"
    server = request.getfixturevalue("redis_server" if kind == "redis" else "cluster")
    database = "/0" if kind == "redis" else ""
    return f"{server.url}{database}?deadline=20s&namespace=viewed{next(_numbers)}"


@pytest_asyncio.fixture(loop_scope="session")
async def store(store_url: str) -> AsyncIterator[SessionStore]:
    """An empty store of each kind in turn."""
    async with open_store(store_url) as store:
        yield store


@pytest_asyncio.fixture(loop_scope="session")
async def one(one_url: str) -> AsyncIterator[SessionStore]:
    """An empty store on SQLite."""
    async with open_store(one_url) as store:
        yield store


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if shutil.which("chromium") is None and "CI" not in os.environ:
        pytest.skip("no chromium: apt-get install chromium")
    async with launched() as browser:
        yield browser
