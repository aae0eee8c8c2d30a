"""Where tests run that need an empty store on SQLite and on Redis."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from miniagent_store.testing.servers import Server

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
