"""Reads against the floor: what a careful person writes by hand with redis-py and orjson, in one run.

Floor: LRANGE and ``orjson.loads``, which gives plain dicts with nothing checked. Rounds are interleaved;
printed are medians, ours by the floor's of the same length. `--cpu` prints CPU time of this process
instead, at its least, which other work on the machine disturbs less.

Run: ``python benchmarks/reading.py [--rounds 9] [--cpu] [--chain msgpack]``; it starts a server of its own
(see `miniagent_store.testing.servers`).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from miniagent_store import Key, Keyring, Message, SessionStore, open_store
from miniagent_store.testing.servers import Server

QUESTION = {"role": "user", "content": "x" * 370}
FILL = 500
Work = Callable[[], Awaitable[Any]]


async def timed(work: Work, times: int, clock: Callable[[], float]) -> float:
    """Microseconds a call of a lone caller."""
    started = clock()
    for _ in range(times):
        await work()
    return (clock() - started) / times * 1e6


def works_of(store: SessionStore) -> dict[str, tuple[Work, str, int]]:
    """What is read, the floor it is compared with, and how many times a round."""
    return {
        "last 20 of 10,000": (lambda: store.history("r10000", last=20), "last 20", 200),
        "whole history of 1,000": (lambda: store.history("r1000"), "all 1,000", 20),
        "snapshot(last=20)": (lambda: store.snapshot("r10000", last=20), "last 20", 100),
        "entries of 1,000": (lambda: store.entries("r1000"), "all 1,000", 20),
        "get": (lambda: store.get("r1000"), "last 20", 200),
    }


async def measure(server: Server, rounds: int, chain: str, clock: Callable[[], float], pick: Any) -> None:
    client = redis.asyncio.Redis.from_url(server.url, retry=Retry(NoBackoff(), 0), protocol=3)

    async def last(n: int) -> list[Any]:
        return [orjson.loads(each) for each in await client.lrange("floor", -n, -1)]

    for _ in range(10_000 // FILL):
        await client.rpush("floor", *[orjson.dumps(QUESTION)] * FILL)
    floors: dict[str, tuple[Work, int]] = {
        "last 20": (lambda: last(20), 200),
        "all 1,000": (lambda: last(1000), 20),
    }
    keys = Keyring([Key.generate("bench")])
    with tempfile.TemporaryDirectory() as place:
        for url in (server.url, f"sqlite:///{place}/bench.db", "memory://"):
            async with open_store(f"{url}?serializer={chain.replace('+', '%2B')}", keyring=keys) as store:
                for length in (1_000, 10_000):
                    for _ in range(length // FILL):
                        await store.append(
                            f"r{length}", *[Message.user(QUESTION["content"])] * FILL, create=True
                        )
                works = works_of(store)
                times: dict[str, list[float]] = {name: [] for name in (*works, *floors)}
                for _ in range(rounds):
                    for name, (work, count) in floors.items():
                        times[name].append(await timed(work, count, clock))
                    for name, (work, _, count) in works.items():
                        times[name].append(await timed(work, count, clock))
                for name, (_, floor, _) in works.items():
                    ours, theirs = pick(times[name]), pick(times[floor])
                    print(
                        f"{store.url.partition(':')[0]:8} {name:26} {ours:9.0f} µs {theirs:9.0f} µs   "
                        f"{ours / theirs:5.2f} x the floor's"
                    )
    await client.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--chain", default="msgpack")
    given = parser.parse_args()
    clock, pick = (time.process_time, min) if given.cpu else (time.perf_counter, statistics.median)
    with Server() as server:
        asyncio.run(measure(server, given.rounds, given.chain, clock, pick))


if __name__ == "__main__":
    main()
