"""What a view of a tenant costs: to make it, to get it again, and a commit through it against its store's.

Rounds are interleaved; printed are medians in microseconds.

Run: ``python benchmarks/tenants.py [--rounds 600]``; it starts a server of its own (see
`miniagent_store.testing.servers`).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from miniagent_store import Message, open_store
from miniagent_store.testing.servers import Server

MESSAGE = Message.user("x" * 400)


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await work()
    return (time.perf_counter() - started) * 1e6


async def measure(name: str, url: str, rounds: int) -> None:
    async with open_store(url) as store:
        view = store.tenant("acme")
        for each in (store, view):
            await each.append("s", MESSAGE, create=True)
        made: list[float] = []
        again: list[float] = []
        direct: list[float] = []
        through: list[float] = []
        for number in range(rounds):
            started = time.perf_counter()
            store.tenant(f"t{number}")
            made.append((time.perf_counter() - started) * 1e6)
            started = time.perf_counter()
            store.tenant("acme")
            again.append((time.perf_counter() - started) * 1e6)
            direct.append(await timed(lambda: store.append("s", MESSAGE)))
            through.append(await timed(lambda: view.append("s", MESSAGE)))
    columns = (statistics.median(each) for each in (made, again, direct, through))
    print(f"{name:10}" + "".join(f"{each:16.0f}" for each in columns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=600)
    rounds = parser.parse_args().rounds
    print(
        f"{'µs':10}" + "".join(f"{head:>16}" for head in ("a view", "again", "a commit", "through a view"))
    )
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        places = {
            "memory": "memory://",
            "SQLite": f"sqlite:///{Path(folder) / 'tenants.db'}",
            "Redis": server.url,
        }
        for name, url in places.items():
            asyncio.run(measure(name, url, rounds))


if __name__ == "__main__":
    main()
