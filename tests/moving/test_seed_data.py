"""What MiniAgent's own classes left in a Redis, taken over."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import ConfigurationError, SessionStore, open_store
from miniagent_store.errors import BackendUnavailableError
from miniagent_store.moving.importing import Import, Imported
from miniagent_store.moving.seed import METADATA_VALUE, SESSION_VALUE, SeedData
from miniagent_store.moving.walking import Filters
from miniagent_store.testing.servers import Server, free_port

MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "Grüße", "timestamp": datetime(2025, 1, 2, 3, 4, 5)},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}], "timestamp": "2025-01-02T03:04:06"},
]
EVENTS = [{"type": "llm_call", "data": {"n": number}} for number in range(150)]


class Bomb:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._path),)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
async def store() -> AsyncIterator[SessionStore]:
    async with open_store("memory://") as opened:
        yield opened


def seeded(server: Server, folder: Path) -> str:
    server.command("FLUSHALL")
    session = {
        "session_id": "full", "user_id": "ada", "agent_name": "helper",
        "created_at": "2025-01-02T03:00:00", "metadata": {"topic": "cats"}, "total_messages": 2,
    }  # fmt: skip
    server.command("SET", "session:full", json.dumps(session), "PX", 600_000)
    server.command(
        "SET", "thread:full", pickle.dumps({"messages": MESSAGES, "events": EVENTS[:2]}), "PX", 900_000
    )
    server.command("HSET", "metadata:full", "message_count", "2", "last_model", "echo")
    packed = base64.b64encode(zlib.compress(json.dumps(EVENTS).encode())).decode()
    thread = {"messages": [{"role": "user", "content": "x"}], "events": [], "events_compressed": packed}
    server.command("SET", "session:zipped", json.dumps({"user_id": "anonymous", "agent_name": None}))
    server.command("SET", "thread:zipped", json.dumps(thread))
    server.command("SET", "thread:alone", json.dumps({"messages": [], "events": []}))
    server.command("SET", "thread:bomb", pickle.dumps({"messages": [Bomb(folder / "bomb")], "events": []}))
    server.command("SET", "session:broken", "{")
    server.command("LPUSH", "thread:another-type", "x")
    server.command("SET", "cache:full", "not looked at")
    return f"{server.url}/0"


async def take(store: SessionStore, url: str, **how: Any) -> tuple[Imported, SeedData]:
    seed = SeedData(url, store)
    await store.open()
    done = await Import(store, "", **how).run(seed.sessions(), Filters(), lambda done: None)
    return done, seed


async def test_sessions_threads_and_analytics_are_taken_over(
    store: SessionStore, server: Server, tmp_path: Path
) -> None:
    done, seed = await take(store, seeded(server, tmp_path), verify=True)

    assert (done.written, done.problems) == (3, [])
    assert sorted(each.split("'")[2] for each in seed.problems) == ["bomb", "broken"]
    assert not (tmp_path / "bomb").exists()
    full = await store.get("full")
    assert (full.user_id, full.agent, full.metadata) == ("ada", "helper", {"topic": "cats"})
    assert full.created_at == datetime(2025, 1, 2, 3, tzinfo=UTC)
    assert full.last_activity == datetime(2025, 1, 2, 3, 4, 6, tzinfo=UTC)
    assert [dict(each) for each in await store.history("full")] == MESSAGES
    assert [each.time for each in await store.entries("full")] == [
        datetime(2025, 1, 2, 3, 4, second, tzinfo=UTC) for second in (5, 6)
    ]
    assert await store.state("full").get(METADATA_VALUE) == {"message_count": "2", "last_model": "echo"}
    assert await store.state("full").get(SESSION_VALUE) == {"total_messages": 2}
    # The later of the two, and the seed's own time to live from then on.
    assert full.expires_at is not None
    assert 800 < (full.expires_at - datetime.now(UTC)).total_seconds() <= 900
    assert full.ttl == 3600
    zipped = await store.get("zipped")
    assert (zipped.user_id, zipped.expires_at) == (None, None)
    assert [dict(each.value) for each in await store.entries("zipped", log="events")] == EVENTS


async def test_taking_it_over_again_does_the_rest_and_changes_nothing_there(
    store: SessionStore, server: Server, tmp_path: Path
) -> None:
    url = seeded(server, tmp_path)
    before = server.command("DBSIZE")
    await take(store, url)
    await store.delete("zipped")

    done, _ = await take(store, url)

    assert (done.written, done.unchanged) == (1, 2)
    assert server.command("DBSIZE") == before


async def test_a_server_that_is_not_there_is_told_without_its_password(store: SessionStore) -> None:
    with pytest.raises(BackendUnavailableError) as caught:
        await take(store, f"redis://ada:secret@127.0.0.1:{free_port()}/0")
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        await take(store, "http://ada:secret@example.org")
