"""Asks for leave again and again, by each algorithm, and tells of each answer at the end.

``python -m tests.coordination.hammer URL NAMESPACE LIMIT PERIOD SECONDS TASKS``
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, get_args

from miniagent_store import open_store
from miniagent_store.backend import RateAlgorithm


def now_ms() -> float:
    return time.time_ns() / 1e6


async def main(url: str, namespace: str, limit: int, period: float, seconds: float, tasks: int) -> None:
    answers: dict[str, list[Any]] = {algorithm: [] for algorithm in get_args(RateAlgorithm)}
    async with open_store(url, namespace=namespace) as store:

        async def ask(algorithm: RateAlgorithm, until: float) -> None:
            while (before := now_ms()) < until:
                answer = await store.rate_limit("key", limit, period, algorithm=algorithm)
                row = (before, now_ms(), answer.allowed, answer.reset_after * 1000)
                answers[algorithm].append(row)

        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        until = now_ms() + seconds * 1000
        await asyncio.gather(
            *(ask(algorithm, until) for algorithm in get_args(RateAlgorithm) for _ in range(tasks))
        )
    print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    _, url, namespace, limit, period, seconds, tasks = sys.argv
    asyncio.run(main(url, namespace, int(limit), float(period), float(seconds), int(tasks)))
