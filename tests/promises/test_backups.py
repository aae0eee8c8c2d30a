"""Backups as docs/backup.md describes them, made while writers run, and restored."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from miniagent_store import Message, open_store
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.servers import Server, find_servers
from miniagent_store.testing.waiting import wait_until

SESSIONS = [f"s{number}" for number in range(8)]


class Writers:
    """Tasks that append numbers, one a session, and know what was acknowledged."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self.acknowledged = dict.fromkeys(SESSIONS, 0)

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._write(session_id)) for session_id in SESSIONS]
        while min(self.acknowledged.values()) < 20:
            await asyncio.sleep(0.01)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, session_id: str) -> None:
        while True:
            number = self.acknowledged[session_id]
            await self._store.append(session_id, Message.user(str(number)), create=True)
            self.acknowledged[session_id] += 1


async def check(url: str, before: dict[str, int], after: dict[str, int]) -> None:
    """Every session is there: all that was acknowledged before, in order, and no more than was written."""
    async with open_store(url) as store:
        assert {session.id for session in await store.list()} == set(SESSIONS)
        for session_id in SESSIONS:
            said = [message.content for message in await store.history(session_id)]
            assert said == [str(number) for number in range(len(said))]
            assert before[session_id] <= len(said) <= after[session_id] + 1
            await store.append(session_id, Message.user("restored"))


async def test_a_sqlite_file_is_copied_by_sqlite_while_agents_write(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/sessions.db") as store:
        writers = Writers(store)
        async with writers.writing():
            before = dict(writers.acknowledged)
            await asyncio.to_thread(vacuum, tmp_path / "sessions.db", tmp_path / "backup.db")
        after = dict(writers.acknowledged)

    await check(f"sqlite:///{tmp_path}/backup.db", before, after)


def vacuum(file: Path, into: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as source:
        source.execute(f"VACUUM INTO '{into}'")


@pytest.mark.parametrize("name", sorted(find_servers()))
async def test_a_snapshot_is_restored_and_becomes_the_log_of_writes(tmp_path: Path, name: str) -> None:
    binary = find_servers()[name]
    with Server(binary, config={"appendonly": "yes"}) as server:
        async with open_store(server.url) as store:
            writers = Writers(store)
            async with writers.writing():
                before = dict(writers.acknowledged)
                await asyncio.to_thread(save, server)
                shutil.copy(server.folder / "dump.rdb", tmp_path)
            after = dict(writers.acknowledged)

    restored = Server(binary)
    shutil.copy(tmp_path / "dump.rdb", restored.folder)
    with restored as server:
        await check(server.url, before, after)
        server.command("CONFIG", "SET", "appendonly", "yes")
        wait_until(lambda: busy(server, "aof_rewrite_in_progress:0"), 30)
        assert any((server.folder / "appendonlydir").iterdir())


def save(server: Server) -> None:
    server.command("BGSAVE")
    wait_until(lambda: busy(server, "rdb_bgsave_in_progress:0"), 30)
    assert b"rdb_last_bgsave_status:ok" in server.command("INFO", "persistence")


def busy(server: Server, done: str) -> str | None:
    told = server.command("INFO", "persistence").decode()
    return None if done in told else told
