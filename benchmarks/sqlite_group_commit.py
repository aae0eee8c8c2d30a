"""How much it brings that many waiting commits share one transaction of SQLite.

64 tasks append turns (2 messages of 400 B) durably (synchronous=FULL), each to a session of its own:

- "shared": as the backend does it;
- "one each": the same made to commit one job a transaction;
- "by hand": a careful person's bare sqlite3, one INSERT of both messages a transaction, no index but one;

at the backend, and through the public API, where by hand means orjson on top. Then one task alone, which
has nobody to share with. Rounds are interleaved; medians are printed, with ratios of the same round.

At last fsyncs are counted while processes append through the public API, to one file: a library loaded
before all others counts the calls of fsync and fdatasync, or strace does.

Run: ``python benchmarks/sqlite_group_commit.py [ROUNDS]``.
"""

from __future__ import annotations

import asyncio
import base64
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

import orjson

from miniagent_backends.sqlite import writing
from miniagent_backends.sqlite.backend import SqliteBackend
from miniagent_store import open_store
from miniagent_store.backend import Append, BackendOptions, Commit, CommitIdentity, Create, NewEntry
from miniagent_store.testing.append_load import TURN, append_turns, run_processes
from miniagent_store.testing.syncs import SyncCounter, ways
from miniagent_store.url import StoreURL

TASKS, TURNS = 64, 30
PAYLOAD = os.urandom(400)
CREATE = Create(keep_existing=True)
ENCRYPTED = {"serializer": "encrypted", "keys": "env:BENCHMARK_KEY"}
_counter = itertools.count(1)

Way = Callable[[Path, int], Coroutine[Any, Any, float]]
"""Appends in a folder by so many tasks; turns a second."""


def turn(session_id: str) -> Commit:
    """A commit of two messages."""
    now = time.time_ns() // 1_000_000
    entries = tuple(NewEntry(os.urandom(12), now, PAYLOAD) for _ in range(2))
    identity = CommitIdentity("bench", next(_counter), now + 20_000)
    return Commit(session_id, identity, now, create=CREATE, changes=(Append("messages", entries),))


async def by_backend(folder: Path, tasks: int) -> float:
    """At the backend."""
    backend = SqliteBackend.from_url(StoreURL.parse(f"sqlite:///{folder}/a.db"), BackendOptions())
    await backend.open()

    async def append(session_id: str) -> None:
        for _ in range(TURNS):
            await backend.commit(turn(session_id))

    try:
        for number in range(tasks):
            await backend.commit(turn(f"s{number}"))
        started = time.perf_counter()
        await asyncio.gather(*(append(f"s{number}") for number in range(tasks)))
        return tasks * TURNS / (time.perf_counter() - started)
    finally:
        await backend.close()


def through_the_store(**options: Any) -> Way:
    """Through the public API."""

    async def run(folder: Path, tasks: int) -> float:
        async with open_store(f"sqlite:///{folder}/a.db", **options) as store:
            sessions = [f"s{number}" for number in range(tasks)]
            for session_id in sessions:
                await store.append(session_id, *TURN, create=True)
            load = await append_turns(store, sessions, TURNS)
            return load.turns / load.seconds

    return run


def one_each(way: Way) -> Way:
    """The same with a transaction for each job."""

    async def run(folder: Path, tasks: int) -> float:
        usual, writing.BATCH_JOBS = writing.BATCH_JOBS, 1
        try:
            return await way(folder, tasks)
        finally:
            writing.BATCH_JOBS = usual

    return run


def by_hand(encode: Callable[[], tuple[bytes, bytes]]) -> Way:
    """Bare sqlite3 in a thread."""

    async def run(folder: Path, tasks: int) -> float:
        connection = sqlite3.connect(folder / "b.db", isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "CREATE TABLE messages (session TEXT, seq INTEGER, payload BLOB, PRIMARY KEY (session, seq))"
        )
        lock = asyncio.Lock()

        def write(session_id: str, number: int) -> None:
            question, answer = encode()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "INSERT INTO messages VALUES (?, ?, ?), (?, ?, ?)",
                (session_id, number, question, session_id, number + 1, answer),
            )
            connection.execute("COMMIT")

        async def append(session_id: str) -> None:
            for number in range(TURNS):
                async with lock:
                    await asyncio.to_thread(write, session_id, 2 * number)

        started = time.perf_counter()
        await asyncio.gather(*(append(f"s{number}") for number in range(tasks)))
        took = time.perf_counter() - started
        connection.close()
        return tasks * TURNS / took

    return run


def encoded_turn() -> tuple[bytes, bytes]:
    """Both messages as JSON."""
    question, answer = (orjson.dumps(dict(message)) for message in TURN)
    return question, answer


def compare(title: str, ways_of: dict[str, Way], tasks: int, rounds: int) -> None:
    """Print the first of the ways against each."""
    rates: dict[str, list[float]] = {name: [] for name in ways_of}
    for _ in range(rounds):
        for name, way in ways_of.items():
            with tempfile.TemporaryDirectory() as folder:
                rates[name].append(asyncio.run(way(Path(folder), tasks)))
    first = next(iter(rates))
    print(f"{title}, {tasks} tasks" if tasks > 1 else f"{title}, one task")
    for name, each in rates.items():
        ratios = sorted(a / b for a, b in zip(rates[first], each, strict=True))
        print(
            f"  {name:10} {statistics.median(each):7.0f} turns/s   {first} is "
            f"{statistics.median(ratios):4.1f} x ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        )


def count_syncs() -> None:
    """Print how many turns share an fsync."""
    print(f"turns an fsync, through the public API ({next(iter(ways()), 'cannot be counted here')})")
    for processes, tasks in ((1, 64), (4, 16), (4, 64)) if ways() else ():
        with tempfile.TemporaryDirectory() as folder, SyncCounter() as syncs:
            url = f"sqlite:///{folder}/a.db?deadline=60s"
            loads, counted = run_processes(url, processes, tasks, TURNS, syncs)
        turns, seconds = sum(load.turns for load in loads), max(load.seconds for load in loads)
        print(
            f"  {processes} x {tasks} tasks   {turns} turns, {counted} fsyncs: {turns / counted:.1f}"
            f"   {turns / seconds:.0f} turns/s"
        )


def main(rounds: int) -> None:
    secret = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    os.environ["BENCHMARK_KEY"] = f"k1:{secret}"
    store, encrypted = through_the_store(), through_the_store(**ENCRYPTED)
    plain_hand, json_hand = by_hand(lambda: (PAYLOAD, PAYLOAD)), by_hand(encoded_turn)
    of_backend = {"shared": by_backend, "one each": one_each(by_backend), "by hand": plain_hand}
    of_store = {"shared": store, "one each": one_each(store), "by hand": json_hand}
    of_encrypted = {"shared": encrypted, "one each": one_each(encrypted), "by hand": json_hand}
    compare("at the backend", of_backend, TASKS, rounds)
    compare("public API", of_store, TASKS, rounds)
    compare("public API, encrypted", of_encrypted, TASKS, rounds)
    compare("public API", {"store": store, "by hand": json_hand}, 1, 5 * rounds)
    count_syncs()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
