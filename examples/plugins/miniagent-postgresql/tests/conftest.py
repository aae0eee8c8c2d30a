"""One server for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres_server import PostgresServer


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """A server that flushes each commit, as one does in production."""
    with PostgresServer(max_connections="300") as started:
        yield started
