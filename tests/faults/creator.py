"""Creates sessions until it is killed, and names each on its output once it is acknowledged.

``python -m tests.faults.creator URL NAMESPACE``
"""

from __future__ import annotations

import asyncio
import itertools
import sys

from miniagent_store import Message, open_store


async def create(url: str, namespace: str) -> None:
    """Sessions of eight tasks, each with a message, a user and a tag."""
    async with open_store(url, namespace=namespace, ttl="1h") as store:

        async def create_some(task: int) -> None:
            for number in itertools.count():
                name = f"{task}-{number}"
                await store.create(name, user_id="ada", tags=["made"])
                await store.append(name, Message.user("hello"))
                print(name, flush=True)

        await asyncio.gather(*(create_some(task) for task in range(8)))


if __name__ == "__main__":
    asyncio.run(create(sys.argv[1], sys.argv[2]))
