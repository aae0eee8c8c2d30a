"""Reads on SQLite by a lone caller, against what a careful person writes by hand.

By hand: bare sqlite3 in a thread (`asyncio.to_thread`), rows of JSON read by orjson, plain dicts with
nothing checked. Rounds are interleaved; medians are printed, with the median of the ratios of a round.

Run: ``python benchmarks/sqlite_reads.py [ROUNDS [SESSIONS]]``; by default 9 rounds and 100,000 sessions.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from miniagent_store import Message, SessionStore, open_store

QUESTION = {"role": "user", "content": "x" * 400}
USERS, PAGE, FILL = 200, 50, 500
ENCRYPTED = "serializer=encrypted&keys=file:{folder}/keys.txt"

Read = Callable[[], Awaitable[Any]]


async def fill(store: SessionStore, sessions: int) -> None:
    """Two long sessions, and many short ones of some users."""
    for length in (1_000, 10_000):
        for _ in range(length // FILL):
            await store.append(f"r{length}", *[Message(**QUESTION)] * FILL, create=True)
    for first in range(0, sessions, FILL):
        creating = (
            store.create(f"s{number}", user_id=f"u{number % USERS}")
            for number in range(first, min(first + FILL, sessions))
        )
        await asyncio.gather(*creating)


def fill_by_hand(connection: sqlite3.Connection, sessions: int) -> None:
    """The same in two plain tables."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(
        "CREATE TABLE messages (session TEXT, seq INTEGER, payload BLOB, PRIMARY KEY (session, seq))"
    )
    connection.execute(
        "CREATE TABLE sessions (id TEXT PRIMARY KEY, user TEXT, active INTEGER, metadata BLOB)"
    )
    connection.execute("CREATE INDEX by_user ON sessions (user, active)")
    payload = orjson.dumps(QUESTION)
    for length in (1_000, 10_000):
        rows = ((f"r{length}", seq, payload) for seq in range(length))
        connection.executemany("INSERT INTO messages VALUES (?, ?, ?)", rows)
    of_sessions = ((f"s{number}", f"u{number % USERS}", number, b"{}") for number in range(sessions))
    connection.executemany("INSERT INTO sessions VALUES (?, ?, ?, ?)", of_sessions)
    connection.commit()


def by_hand(connection: sqlite3.Connection, sql: str, *values: object) -> Read:
    """Rows of a query in a thread, their last column read as JSON."""

    def read() -> list[Any]:
        return [orjson.loads(row[-1]) for row in connection.execute(sql, values)]

    return lambda: asyncio.to_thread(read)


async def micros(read: Read, times: int) -> float:
    """Microseconds a call."""
    started = time.perf_counter()
    for _ in range(times):
        await read()
    return (time.perf_counter() - started) / times * 1e6


async def measure(folder: str, rounds: int, sessions: int) -> None:
    connection = sqlite3.connect(f"{folder}/hand.db", check_same_thread=False)
    fill_by_hand(connection, sessions)
    messages = "SELECT payload FROM messages WHERE session = ? ORDER BY seq"
    floors = {
        "all of 1,000": by_hand(connection, messages, "r1000"),
        "last 20 of 10,000": by_hand(connection, f"{messages} DESC LIMIT 20", "r10000"),
        f"page of {PAGE} of {sessions:,}": by_hand(
            connection, "SELECT * FROM sessions WHERE user = ? ORDER BY active DESC LIMIT ?", "u7", PAGE
        ),
    }
    for name, query in (("plain", ""), ("encrypted", "&" + ENCRYPTED.format(folder=folder))):
        url = f"sqlite:///{folder}/{name}.db?synchronous=OFF{query}"
        async with open_store(url) as store:
            await fill(store, sessions)
            reads = dict(zip(floors, reads_of(store), strict=True))
            times: dict[str, list[tuple[float, float]]] = {read: [] for read in reads}
            for _ in range(rounds):
                for read, (ours, count) in reads.items():
                    times[read].append((await micros(ours, count), await micros(floors[read], count)))
        for read, pairs in times.items():
            ours_us, theirs_us = (statistics.median(each) for each in zip(*pairs, strict=True))
            ratio = statistics.median(ours / theirs for ours, theirs in pairs)
            print(f"{name:10} {read:22} {ours_us:6.0f} µs, by hand {theirs_us:6.0f} µs: {ratio:.2f} x")
    connection.close()


def reads_of(store: SessionStore) -> list[tuple[Read, int]]:
    """What is read, and how many times a round; in the order of the floors."""
    return [
        (lambda: store.history("r1000"), 10),
        (lambda: store.history("r10000", last=20), 100),
        (lambda: store.list(user_id="u7", limit=PAGE), 50),
    ]


def main(rounds: int = 9, sessions: int = 100_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/keys.txt", "w", encoding="ascii") as keys:
            secret = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
            keys.write(f"k1:{secret}\n")
        os.chmod(keys.name, 0o600)
        asyncio.run(measure(folder, rounds, sessions))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
