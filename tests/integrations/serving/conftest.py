"""Two workers on one store, and clients of theirs."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.integrations.serving.workers import PATIENCE, USERS, Client, Worker, worker

_users = itertools.cycle(range(USERS))


@pytest.fixture(scope="package", params=["sqlite", "redis"])
def store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store that both workers use."""
    folder = tmp_path_factory.mktemp("serving")
    if request.param == "sqlite":
        return f"sqlite:///{folder}/chat.db?deadline=20s"
    return f"{request.getfixturevalue('redis_server').url}/0?namespace={folder.name}&deadline=20s"


@pytest.fixture(scope="package")
def workers(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Worker, Worker]]:
    folder = tmp_path_factory.mktemp("workers")
    with worker(store_url, folder) as one, worker(store_url, folder) as other:
        yield one, other


@pytest.fixture
async def clients() -> AsyncIterator[Iterator[Client]]:
    """Clients of users who have asked nothing yet."""
    async with httpx.AsyncClient(timeout=PATIENCE) as http:
        yield (Client(http, user) for user in _users)


@pytest.fixture
def client(clients: Iterator[Client]) -> Client:
    """One of them."""
    return next(clients)
