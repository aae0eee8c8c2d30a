"""One server for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres_server import PostgresServer, find_binaries

from miniagent_postgresql import plugin


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """A server; without flushing, since no test of this one pulls the plug."""
    if find_binaries() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with PostgresServer(fsync="off", max_connections="300") as started:
        yield started


@pytest.fixture
def plugins() -> list[object]:
    """The plugin, whether it is installed or not."""
    return [plugin]
