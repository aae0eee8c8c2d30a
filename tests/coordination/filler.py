"""Caches values of a kilobyte: ``python -m tests.coordination.filler URL NAMESPACE SIZE COUNT``"""

from __future__ import annotations

import asyncio
import os
import sys

from miniagent_store import open_store


async def main(url: str, namespace: str, size: int, count: int) -> None:
    async with open_store(url, namespace=namespace, cache_max_size=size) as store:
        for start in range(0, count, 10):
            await asyncio.gather(
                *(
                    store.cache.set(f"{os.getpid()}/{number}", os.urandom(1000))
                    for number in range(start, start + 10)
                )
            )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
