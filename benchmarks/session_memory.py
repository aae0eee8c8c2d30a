"""What sessions take in Redis, by how many messages they have.

Sessions with a user and a TTL, and messages of 400 B. Bytes of a session are what the server's memory grows
by, listings, sweeps and its own bookkeeping included; bytes beyond the payload, a message, are those of the
session's own keys by MEMORY USAGE.

Run: ``python benchmarks/session_memory.py [--json FILE]``; it starts a server of its own (see
`miniagent_store.testing.servers`).
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgpack
from recorded import server_version, write
from text_table import number, text_table

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.testing.servers import Server

QUESTION = {"role": "user", "content": "x" * 370}
ANSWER = {"role": "assistant", "content": "y" * 370}
# Packed as densely as the store packs them.
PAYLOAD = sum(len(msgpack.packb(each)) for each in (QUESTION, ANSWER)) / 2
# Messages of a session, and how many such sessions are made.
SIZES = {0: 4_000, 2: 4_000, 10: 2_000, 100: 400, 1_000: 40}
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Held:
    """What a session takes.

    Attributes:
        messages: that it has.
        keys: of its own.
        beside: bytes a session in its own keys, without its messages' payload.
        all: bytes that the server's memory grows by, a session.
    """

    messages: int
    keys: int
    beside: float
    all: float


async def measure(server: Server) -> list[Held]:
    """What sessions of all sizes take."""
    found: list[Held] = []
    for messages, sessions in SIZES.items():
        server.command("FLUSHALL")
        async with open_store(f"{server.url}?ttl=30d") as store:
            await _make(store, "warm", 1, messages)
        server.command("MEMORY", "PURGE")
        before = _used(server)
        async with open_store(f"{server.url}?ttl=30d") as store:
            await _make(store, "s", sessions, messages)
        used = _used(server) - before
        own = [key for key in _keys(server, "*s-1") + _keys(server, "*s-1}*") if b"user:" not in key]
        taken = sum(server.command("MEMORY", "USAGE", key, "SAMPLES", 0) for key in own)
        found.append(Held(messages, len(own), taken - messages * PAYLOAD, used / sessions))
    return found


async def _make(store: SessionStore, name: str, sessions: int, messages: int) -> None:
    async def one(number_: int) -> None:
        session_id = f"{name}-{number_}"
        await store.create(session_id, user_id=f"user-{number_ // 10}")
        for _ in range(messages // 2):
            await store.append(session_id, Message(**QUESTION), Message(**ANSWER))

    for start in range(0, sessions, 100):
        await asyncio.gather(*(one(each) for each in range(start, min(start + 100, sessions))))


def _used(server: Server) -> int:
    """Bytes of the data set, without what clients and their buffers take."""
    lines = server.command("INFO", "memory").decode().splitlines()
    info = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(info["used_memory"]) - int(info["mem_clients_normal"])


def _keys(server: Server, pattern: str) -> list[bytes]:
    cursor, keys = b"0", []
    while True:
        cursor, found = server.command("SCAN", cursor, "MATCH", pattern, "COUNT", 1_000)
        keys += found
        if cursor == b"0":
            return keys


HEADS = ["messages", "keys", "own keys beyond the payload, B", "in all, B", "sessions a GiB", "GiB for 10⁹"]


def rows(sizes: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """What `HEADS` name, a size a row."""
    for held in sizes:
        yield [
            number(held["messages"]),
            str(held["keys"]),
            number(held["beside"]),
            number(held["all"]),
            number(GIB / held["all"]),
            number(1e9 * held["all"] / GIB),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    given = parser.parse_args()
    with Server() as server:
        sizes = [asdict(each) for each in asyncio.run(measure(server))]
        version = server_version(server)
    print(f"payload of a message: {PAYLOAD:.0f} B\n")
    print(text_table(HEADS, list(rows(sizes))))
    if given.json is not None:
        write(given.json, version, {"payload": PAYLOAD, "sizes": sizes})


if __name__ == "__main__":
    main()
