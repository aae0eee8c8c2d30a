"""A real server, and a manager on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from miniagent_store.redis_client import RedisConfig, RedisSessionManager
from miniagent_store.testing.servers import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(password="s3cret") as server:
        yield server


@pytest.fixture
def config(server: Server) -> RedisConfig:
    return RedisConfig(host="127.0.0.1", port=server.port or 0, password="s3cret", session_ttl=100)


@pytest.fixture
async def manager(server: Server, config: RedisConfig) -> AsyncIterator[RedisSessionManager]:
    server.command("FLUSHALL")
    manager = RedisSessionManager(config)
    yield manager
    await manager.disconnect()
