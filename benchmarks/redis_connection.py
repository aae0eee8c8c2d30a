"""What the shared connection brings, against a careful person's redis-py.

A commit of two messages of 400 B, in rounds that are interleaved; medians are printed:

- "by hand": a pool of redis-py, a pipeline of RPUSH and EXPIRE for each commit;
- "redis-py, script": the same pool, one EVALSHA that does both;
- "shared connection": the same EVALSHA over `Connection`.

Run: ``python benchmarks/redis_connection.py [ROUNDS]``. It starts a server of its own.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import redis.asyncio

from miniagent_backends.redis.wire.connection import Connection
from miniagent_store.testing.servers import Server

MESSAGE = os.urandom(400)
SCRIPT = "redis.call('RPUSH', KEYS[1], ARGV[1], ARGV[2]) return redis.call('EXPIRE', KEYS[1], ARGV[3])"
TTL_SECONDS = 3600
# Tasks at once, and how many commits all of them do together in a round.
LOADS = {1: 500, 64: 6400, 1000: 10_000}

Commit = Callable[[str], Awaitable[object]]


@dataclass(slots=True)
class Measured:
    """Of one way at one load, a value a round.

    Attributes:
        seconds: of wall time for a commit.
        cpu: seconds of the client's processor for a commit.
        p99: seconds that all but a hundredth of the commits took at most.
    """

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


async def one_round(commit: Commit, tasks: int, commits: int, into: Measured) -> None:
    """Measure once."""
    latencies: list[float] = []

    async def work(number: int) -> None:
        for _ in range(commits // tasks):
            began = time.perf_counter()
            await commit(f"thread:{number}")
            latencies.append(time.perf_counter() - began)

    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(work(number) for number in range(tasks)))
    into.seconds.append((time.perf_counter() - began) / len(latencies))
    into.cpu.append((time.process_time() - cpu) / len(latencies))
    into.p99.append(sorted(latencies)[int(len(latencies) * 0.99)])


async def measure(server: Server, rounds: int) -> dict[str, dict[int, Measured]]:
    """All ways at all loads."""
    client = redis.asyncio.Redis(
        connection_pool=redis.asyncio.BlockingConnectionPool(
            host="127.0.0.1", port=server.port, max_connections=64, timeout=60
        )
    )
    digest = await client.script_load(SCRIPT)

    async def by_hand(key: str) -> None:
        async with client.pipeline(transaction=False) as pipeline:
            await pipeline.rpush(key, MESSAGE, MESSAGE).expire(key, TTL_SECONDS).execute()

    async def by_script(key: str) -> None:
        await client.evalsha(digest, 1, key, MESSAGE, MESSAGE, TTL_SECONDS)

    async with Connection(host="127.0.0.1", port=server.port, timeout=60) as connection:

        async def shared(key: str) -> None:
            await connection.execute("EVALSHA", digest, 1, key, MESSAGE, MESSAGE, TTL_SECONDS)

        ways = {"by hand": by_hand, "redis-py, script": by_script, "shared connection": shared}
        found = {name: {load: Measured() for load in LOADS} for name in ways}
        for commit in ways.values():  # connections are opened, code is warm
            await one_round(commit, 64, 640, Measured())
        for _ in range(rounds):
            for load, commits in LOADS.items():
                for name, commit in ways.items():
                    await one_round(commit, load, commits, found[name][load])
                    await client.flushdb()
    await client.aclose()
    return found


def show(found: dict[str, dict[int, Measured]]) -> None:
    """Print medians, and their ratio to what is done by hand."""
    columns = f"{'µs a commit':>12} {'CPU':>7} {'p99':>9}   {'time ×':>7} {'CPU ×':>6} {'p99 ×':>6}"
    print(f"{'tasks':>6}  {'':18} {columns}")
    for load in LOADS:
        base = found["by hand"][load]
        for name, by_load in found.items():
            here = by_load[load]
            now, then = (
                [statistics.median(values) for values in (way.seconds, way.cpu, way.p99)]
                for way in (here, base)
            )
            ratios = [a / b for a, b in zip(now, then, strict=True)]
            print(
                f"{load:>6}  {name:18} {now[0] * 1e6:12.0f} {now[1] * 1e6:7.0f} {now[2] * 1e6:9.0f}   "
                f"{ratios[0]:7.2f} {ratios[1]:6.2f} {ratios[2]:6.2f}"
            )


def main() -> None:
    """Start a server, measure, print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with Server() as server:
        print(f"{server.binary}, redis-py {redis.__version__}, {rounds} rounds")
        show(asyncio.run(measure(server, rounds)))


if __name__ == "__main__":
    main()
