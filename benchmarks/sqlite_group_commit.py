"""How much it brings that many waiting commits share one transaction of SQLite.

64 tasks append turns (2 messages of 400 B) durably (synchronous=FULL), each to a session of its own:

- "shared": as the backend does it;
- "one each": the same backend made to commit one job a transaction;
- "by hand": a careful person's bare sqlite3, one INSERT of both messages a transaction, no index but one.

Run: ``python benchmarks/sqlite_group_commit.py [ROUNDS]``. Rounds are interleaved, medians are printed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from miniagent_backends.sqlite import writing
from miniagent_backends.sqlite.backend import SqliteBackend
from miniagent_store.backend import Append, BackendOptions, Commit, CommitIdentity, Create, NewEntry
from miniagent_store.url import StoreURL

TASKS, TURNS = 64, 40
PAYLOAD = os.urandom(400)
CREATE = Create(keep_existing=True)
_counter = itertools.count(1)


def turn(session_id: str) -> Commit:
    """A commit of two messages."""
    now = time.time_ns() // 1_000_000
    entries = tuple(NewEntry(os.urandom(12), now, PAYLOAD) for _ in range(2))
    identity = CommitIdentity("bench", next(_counter), now + 20_000)
    return Commit(session_id, identity, now, create=CREATE, changes=(Append("messages", entries),))


async def by_backend(folder: Path, most_jobs: int) -> float:
    """Turns a second."""
    usual, writing.BATCH_JOBS = writing.BATCH_JOBS, most_jobs
    backend = SqliteBackend.from_url(StoreURL.parse(f"sqlite:///{folder}/a.db"), BackendOptions())
    await backend.open()

    async def append(session_id: str) -> None:
        for _ in range(TURNS):
            await backend.commit(turn(session_id))

    try:
        for number in range(TASKS):
            await backend.commit(turn(f"s{number}"))
        started = time.perf_counter()
        await asyncio.gather(*(append(f"s{number}") for number in range(TASKS)))
        return TASKS * TURNS / (time.perf_counter() - started)
    finally:
        writing.BATCH_JOBS = usual
        await backend.close()


async def by_hand(folder: Path) -> float:
    """Turns a second."""
    connection = sqlite3.connect(folder / "b.db", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE messages (session TEXT, seq INTEGER, payload BLOB, PRIMARY KEY (session, seq))"
    )
    lock = asyncio.Lock()

    def write(session_id: str, number: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT INTO messages VALUES (?, ?, ?), (?, ?, ?)",
            (session_id, number, PAYLOAD, session_id, number + 1, PAYLOAD),
        )
        connection.execute("COMMIT")

    async def append(session_id: str) -> None:
        for number in range(TURNS):
            async with lock:
                await asyncio.to_thread(write, session_id, 2 * number)

    started = time.perf_counter()
    await asyncio.gather(*(append(f"s{number}") for number in range(TASKS)))
    took = time.perf_counter() - started
    connection.close()
    return TASKS * TURNS / took


def main(rounds: int) -> None:
    ways: dict[str, Callable[[Path], Coroutine[Any, Any, float]]] = {
        "shared": lambda folder: by_backend(folder, writing.BATCH_JOBS),
        "one each": lambda folder: by_backend(folder, 1),
        "by hand": by_hand,
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                rates[name].append(asyncio.run(way(Path(folder))))
    medians = {name: statistics.median(each) for name, each in rates.items()}
    for name, median in medians.items():
        ratio = statistics.median(a / b for a, b in zip(rates["shared"], rates[name], strict=True))
        print(f"{name:10} {median:8.0f} turns/s   shared is {ratio:4.1f} x")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
