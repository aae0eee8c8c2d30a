"""What an append costs by the length of the history: it must not matter.

Appends turns (2 messages of 400 B) to sessions with 200, 10,000 and 100,000 messages, one after the other,
in interleaved rounds, and prints the median time of each, per backend.

Run: ``python benchmarks/append_cost.py [TURNS]``.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import sys
import tempfile
import time

from miniagent_backends.memory.backend import open_memory
from miniagent_backends.sqlite.backend import SqliteBackend
from miniagent_store.backend import (
    Append,
    Backend,
    BackendOptions,
    Commit,
    CommitIdentity,
    Create,
    NewEntry,
)
from miniagent_store.url import StoreURL

LENGTHS = (200, 10_000, 100_000)
PAYLOAD = os.urandom(400)
CREATE = Create(keep_existing=True)
_counter = itertools.count(1)


def append(session_id: str, messages: int) -> Commit:
    """A commit of so many messages."""
    now = time.time_ns() // 1_000_000
    entries = tuple(NewEntry(os.urandom(12), now, PAYLOAD) for _ in range(messages))
    identity = CommitIdentity("bench", next(_counter), now + 20_000)
    return Commit(session_id, identity, now, create=CREATE, changes=(Append("messages", entries),))


async def measure(backend: Backend, turns: int) -> dict[int, float]:
    """Median microseconds of an append, by length of the history."""
    await backend.open()
    for length in LENGTHS:
        for _ in range(length // 200):
            await backend.commit(append(f"s{length}", 200))
    took: dict[int, list[float]] = {length: [] for length in LENGTHS}
    for _ in range(turns):
        for length, times in took.items():
            commit = append(f"s{length}", 2)
            started = time.perf_counter()
            await backend.commit(commit)
            times.append(time.perf_counter() - started)
    await backend.close()
    return {length: statistics.median(times) * 1e6 for length, times in took.items()}


def main(turns: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        options = BackendOptions()
        backends = {
            "memory": open_memory(StoreURL.parse("memory://"), options),
            **{
                f"sqlite, synchronous={mode}": SqliteBackend.from_url(
                    StoreURL.parse(f"sqlite:///{folder}/{mode}.db"),
                    BackendOptions(extra={"synchronous": mode}),
                )
                for mode in ("FULL", "OFF")
            },
        }
        print(f"{'median us an append, history of':32}" + "".join(f"{length:>10,}" for length in LENGTHS))
        for name, backend in backends.items():
            medians = asyncio.run(measure(backend, turns))
            print(f"{name:32}" + "".join(f"{medians[length]:10.0f}" for length in LENGTHS))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
