"""Conversations of the SDK's own sessions are copied whole, once."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from agents import SQLiteSession
from agents.extensions.memory import RedisSession
from redis.asyncio import Redis

from miniagent_store import open_store
from miniagent_store.integrations.openai_agents import (
    ImportReport,
    MiniAgentSession,
    import_redis_sessions,
    import_sqlite_sessions,
)
from miniagent_store.testing.servers import Server

NAMES = ["ada", "a:messages", "{grace}/2"]


def items_of(name: str, count: int) -> list[Any]:
    return [{"role": "user", "content": f"{name} {n} é", "id": "same"} for n in range(count)]


async def test_from_sqlite(url: str, tmp_path: Path) -> None:
    file = tmp_path / "the ir's.db"
    for count, name in enumerate(NAMES, 1):
        theirs = SQLiteSession(name, file)
        await theirs.add_items(items_of(name, count * 2))
        theirs.close()
    empty = SQLiteSession("empty", file)
    await empty.add_items(items_of("empty", 1))
    await empty.pop_item()
    empty.close()
    with sqlite3.connect(file) as connection:
        connection.execute(
            "INSERT INTO agent_messages (session_id, message_data) VALUES ('ada', '{broken')"
        )
        connection.execute("UPDATE agent_messages SET created_at = '2024-01-02 03:04:05'")
    connection.close()

    told: list[ImportReport] = []
    async with open_store(url) as store:
        report = await import_sqlite_sessions(file, store, progress=told.append)
        assert report == ImportReport(sessions=3, items=12, damaged=1)
        assert told[-1] == report
        assert len(told) == 4
        for count, name in enumerate(NAMES, 1):
            assert await MiniAgentSession(name, store).get_items() == items_of(name, count * 2)
        entry = (await store.entries("ada", last=1))[0]
        assert entry.time.isoformat() == "2024-01-02T03:04:05+00:00"

        await MiniAgentSession("ada", store).add_items([{"n": 1}])
        again = await import_sqlite_sessions(file, store)
        assert again == ImportReport(left_alone=3)
        assert len(await MiniAgentSession("ada", store).get_items()) == 3

    with pytest.raises(sqlite3.OperationalError):
        await import_sqlite_sessions(tmp_path / "none.db", url)


async def test_from_other_tables(url: str, tmp_path: Path) -> None:
    tables = {"sessions_table": "my_sessions", "messages_table": "my_messages"}
    theirs = SQLiteSession("s", tmp_path / "theirs.db", **tables)
    await theirs.add_items(items_of("s", 3))
    theirs.close()
    session = MiniAgentSession("s", f"{url}")
    await session.clear_session()
    report = await import_sqlite_sessions(tmp_path / "theirs.db", url, **tables)
    assert report == ImportReport(sessions=1, items=3)
    if not url.startswith("memory:"):
        assert await session.get_items() == items_of("s", 3)
    await session.close()


@pytest.mark.parametrize("decode", [False, True])
async def test_from_redis(url: str, redis_server: Server, decode: bool) -> None:
    prefix = f"agents[1]*:{decode}{url[:12]}"
    client: Any = Redis.from_url(f"{redis_server.url}/5", decode_responses=decode)
    for count, name in enumerate(NAMES, 1):
        theirs = RedisSession(name, redis_client=client, key_prefix=prefix)
        await theirs.add_items(items_of(name, count * 700))
    await client.rpush(f"{prefix}:ada:messages", "{broken", "7")
    await RedisSession("other", redis_client=client, key_prefix="agents1").add_items(items_of("other", 1))

    async with open_store(url) as store:
        source = client if decode else f"{redis_server.url}/5"
        report = await import_redis_sessions(source, store, key_prefix=prefix)
        assert report == ImportReport(sessions=3, items=4200, damaged=2)
        for count, name in enumerate(NAMES, 1):
            assert await MiniAgentSession(name, store).get_items() == items_of(name, count * 700)
        assert await import_redis_sessions(source, store, key_prefix=prefix) == ImportReport(left_alone=3)
    await client.aclose()
