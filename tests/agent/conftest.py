"""Stores that several agents can share, as several processes would."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from miniagent_store import SessionStore, open_store
from miniagent_store.testing.servers import Server
from tests.places import redis_server as redis_server


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URL; every store that is opened on it sees the same sessions."""
    if request.param == "memory":
        return f"memory://{secrets.token_hex(4)}"
    return f"sqlite:///{tmp_path / 'sessions.db'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[SessionStore]:
    """A store beside the agents', to see what they stored."""
    async with open_store(url) as opened:
        yield opened


@pytest.fixture
def redis_url(redis_server: Server) -> str:
    """The URL of an empty store on a real server."""
    return f"{redis_server.url}/0?namespace={uuid.uuid4().hex}"
