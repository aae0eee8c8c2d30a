"""What an append costs by the length of the history: it must not matter.

Appends turns (2 messages of 400 B) through the public API to sessions with 200, 10,000 and 100,000
messages, one after the other in interleaved rounds, and prints the median time of each and its ratio to
the shortest, per store.

Run: ``python benchmarks/append_cost.py [--turns 600] [URL …]``.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time

from miniagent_store import Message, open_store

LENGTHS = (200, 10_000, 100_000)
TEXT = "x" * 370


async def measure(url: str, turns: int) -> dict[int, float]:
    """Median microseconds of an append, by length of the history."""
    took: dict[int, list[float]] = {length: [] for length in LENGTHS}
    async with open_store(url) as store:
        for length in LENGTHS:
            for _ in range(length // 200):
                await store.append(str(length), *[Message.user(TEXT)] * 200, create=True)
        for _ in range(turns):
            # In another order each time, so that none always follows the same one.
            for length in random.sample(LENGTHS, len(LENGTHS)):
                question, answer = Message.user(TEXT), Message.assistant(TEXT)
                started = time.perf_counter()
                await store.append(str(length), question, answer)
                took[length].append(time.perf_counter() - started)
    return {length: statistics.median(times) * 1e6 for length, times in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="*")
    parser.add_argument("--turns", type=int, default=600)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        urls = given.urls or [
            "memory://",
            f"sqlite:///{folder}/full.db",
            f"sqlite:///{folder}/off.db?synchronous=OFF",
        ]
        heads = "".join(f"{length:>17,}" for length in LENGTHS)
        print(f"{'median µs an append, history of':36}{heads}")
        for url in urls:
            medians = asyncio.run(measure(url, given.turns))
            cells = "".join(
                f"{medians[length]:10.0f} ({medians[length] / medians[LENGTHS[0]]:.2f})"
                for length in LENGTHS
            )
            print(f"{url.replace(folder, '…'):36}{cells}")


if __name__ == "__main__":
    main()
