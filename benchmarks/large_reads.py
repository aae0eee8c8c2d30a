"""What large reads do to commits beside them: the ratio of the commits' 99th percentiles, in one run.

    python benchmarks/large_reads.py [--entries 1000] [--reads 200] [--rounds 5]

Two hundred reads of a long history run on four connections while a lone caller commits to another session.
Medians of interleaved rounds; the machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.testing.servers import Server


async def commits_beside(store: SessionStore, work: Awaitable[object]) -> list[float]:
    """Seconds of each of the commits that were made one after the other while `work` was done."""
    took: list[float] = []
    task = asyncio.ensure_future(work)
    while not task.done():
        began = time.perf_counter()
        await store.append("small", Message.user("x" * 400))
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.001)
    await task
    return sorted(took)


def p99(took: list[float]) -> float:
    """The 99th percentile, in milliseconds."""
    return took[int(len(took) * 0.99)] * 1000


async def measure(url: str, entries: int, reads: int, rounds: int) -> None:
    """Interleaved rounds, and their medians."""
    async with open_store(url, max_connections=4) as store:
        await store.create("small")
        await store.create("large")
        for first in range(0, entries, 100):
            messages = [Message.user("x" * 400) for _ in range(min(100, entries - first))]
            await store.append("large", *messages)
        alone, beside = [], []
        for _ in range(rounds):
            alone.append(p99(await commits_beside(store, asyncio.sleep(2))))
            histories = asyncio.gather(*(store.history("large") for _ in range(reads)))
            began = time.perf_counter()
            beside.append(p99(await commits_beside(store, histories)))
            took = time.perf_counter() - began
        print(f"{reads} reads of {entries} messages took {took:.2f} s the last time")
        print(f"p99 of commits: alone {statistics.median(alone):.2f} ms")
        ratio = statistics.median(beside) / statistics.median(alone)
        print(f"                beside the reads {statistics.median(beside):.2f} ms, {ratio:.1f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--entries", type=int, default=1000, help="messages of the long history")
    parser.add_argument("--reads", type=int, default=200, help="reads at once")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    arguments = parser.parse_args()
    with Server() as server:
        asyncio.run(measure(server.url, arguments.entries, arguments.reads, arguments.rounds))


if __name__ == "__main__":
    main()
