"""Asks for one cached value from many stores at once, and tells what comes of it.

``python -m tests.coordination.computer URL NAMESPACE STORES SECONDS LEASE``
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack

from miniagent_store import open_store


async def main(url: str, namespace: str, stores: int, seconds: float, lease: float) -> None:
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(open_store(url, namespace=namespace)) for _ in range(stores)
        ]

        async def compute() -> int:
            print("computing", flush=True)
            await asyncio.sleep(seconds)
            return os.getpid()

        functions = [each.cache.cached(ttl="1h", key="answer", lease=lease)(compute) for each in opened]
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

        async def ask(number: int) -> None:
            print("got", await functions[number](), flush=True)

        await asyncio.gather(*map(ask, range(stores)))


if __name__ == "__main__":
    _, url, namespace, stores, seconds, lease = sys.argv
    asyncio.run(main(url, namespace, int(stores), float(seconds), float(lease)))
