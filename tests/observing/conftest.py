"""Stores to observe, on SQLite and on a real Redis, and collectors of what is told."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from miniagent_store.testing.servers import Server
from tests.observing.telemetry import Telemetry

_numbers = itertools.count()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, with the beginning of a query."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/sessions.db?deadline=20s"
    server: Server = request.getfixturevalue("redis_server")
    return f"{server.url}/0?namespace=n{next(_numbers)}"


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    collected = Telemetry()
    yield collected
    collected.shutdown()
