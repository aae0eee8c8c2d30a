"""Against the floor: what a careful person writes by hand with redis-py, on one server in one run.

Floor: ``orjson.dumps`` and one pipeline of RPUSH and EXPIRE, or LRANGE and ``orjson.loads``. Rounds are
interleaved; printed are medians, and ours by the floor's.

Run: ``python benchmarks/redis_floor.py [--rounds 9]``; it starts a server of its own (see
`miniagent_store.testing.servers`).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.testing.servers import Server

QUESTION = {"role": "user", "content": "x" * 370}
ANSWER = {"role": "assistant", "content": "y" * 370}
TTL = 3600
Work = Callable[[], Awaitable[Any]]


class Floor:
    """The hand-written store."""

    def __init__(self, url: str, connections: int) -> None:
        self.client = redis.asyncio.Redis.from_url(
            url, max_connections=connections, retry=Retry(NoBackoff(), 0), protocol=3
        )

    async def append(self, key: str) -> None:
        async with self.client.pipeline(transaction=False) as pipe:
            pipe.rpush(key, orjson.dumps(QUESTION), orjson.dumps(ANSWER))
            pipe.expire(key, TTL)
            await pipe.execute()

    async def last(self, key: str, n: int) -> list[Any]:
        return [orjson.loads(each) for each in await self.client.lrange(key, -n, -1)]


async def timed(work: Work, times: int) -> float:
    """Microseconds a call of a lone caller."""
    started = time.perf_counter()
    for _ in range(times):
        await work()
    return (time.perf_counter() - started) / times * 1e6


async def crowd(work: Callable[[int], Awaitable[Any]], tasks: int, each: int) -> tuple[float, float]:
    """Calls a second of many tasks at once, and the 99th percentile of a call in milliseconds."""
    took: list[float] = []

    async def one(number: int) -> None:
        for _ in range(each):
            started = time.perf_counter()
            await work(number)
            took.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(tasks)))
    rate = tasks * each / (time.perf_counter() - started)
    return rate, statistics.quantiles(took, n=100)[98] * 1e3


async def measure(url: str, rounds: int) -> None:
    floor = Floor(url, 64)
    async with open_store(f"{url}?ttl={TTL}") as store:
        await prepare(store, floor)
        question, answer = Message(**QUESTION), Message(**ANSWER)
        pairs: dict[str, tuple[Work, Work, int]] = {
            f"append a turn, history of {length:,}": (
                lambda name=f"h{length}": store.append(name, question, answer),
                lambda name=f"f{length}": floor.append(name),
                300,
            )
            for length in (10, 1_000, 100_000)
        }
        pairs["last 20 of 10,000"] = (
            lambda: store.history("r10000", last=20),
            lambda: floor.last("fr10000", 20),
            300,
        )
        pairs["whole history of 1,000"] = (
            lambda: store.history("r1000"),
            lambda: floor.last("fr1000", 1000),
            20,
        )
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in pairs}
        crowds: dict[int, list[tuple[float, float, float, float]]] = {64: [], 1000: []}
        for _ in range(rounds):
            for name, (ours, theirs, times) in pairs.items():
                results[name].append((await timed(ours, times), await timed(theirs, times)))
            for tasks, each in ((64, 30), (1000, 3)):
                ours_rate, ours_p99 = await crowd(
                    lambda n: store.append(f"c{n}", question, answer), tasks, each
                )
                rate, p99 = await crowd(lambda n: floor.append(f"fc{n}"), 64, each * tasks // 64)
                crowds[tasks].append((ours_rate, rate, ours_p99, p99))
        for name, times_of in results.items():
            ours = statistics.median(pair[0] for pair in times_of)
            theirs = statistics.median(pair[1] for pair in times_of)
            print(f"{name:36} {ours:9.0f} µs {theirs:9.0f} µs   {ours / theirs:5.2f} x the floor's time")
        for tasks, told in crowds.items():
            rate, floor_rate, p99, floor_p99 = (statistics.median(each) for each in zip(*told, strict=True))
            print(
                f"{tasks} sessions at once{'':17} {rate:9.0f} /s {floor_rate:9.0f} /s   "
                f"{rate / floor_rate:5.2f} x its throughput, p99 {p99 / floor_p99:.2f} x"
            )
    await floor.client.aclose()


async def prepare(store: SessionStore, floor: Floor) -> None:
    """The histories that are appended to and read."""
    for length in (10, 1_000, 100_000):
        await fill(store, floor, f"h{length}", f"f{length}", length)
    for length in (1_000, 10_000):
        await fill(store, floor, f"r{length}", f"fr{length}", length)
    for number in range(1000):
        await store.create(f"c{number}")


async def fill(store: SessionStore, floor: Floor, ours: str, theirs: str, length: int) -> None:
    some = min(length, 500)
    for _ in range(length // some):
        await store.append(ours, *[Message(**QUESTION)] * some, create=True)
        await floor.client.rpush(theirs, *[orjson.dumps(QUESTION)] * some)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with Server() as server:
        print(f"{'':36} {'ours':>12} {'floor':>12}")
        asyncio.run(measure(server.url, rounds))


if __name__ == "__main__":
    main()
