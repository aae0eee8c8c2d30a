"""A process that adds, replaces, deletes and forgets, until it is done or killed."""

from __future__ import annotations

import asyncio
import random
import sys

from miniagent_store import open_store
from tests.memory.plain_reference import Letters


async def change(url: str, seed: int, steps: int) -> None:
    """Do a number of things by chance in the scope "ada"."""
    dice = random.Random(seed)
    async with open_store(url) as store:
        memory = store.memory("ada", embedder=Letters())
        for step in range(steps):
            kind = dice.random()
            if kind < 0.05:
                await memory.forget()
            elif kind < 0.3:
                await memory.delete(*(str(dice.randrange(8)) for _ in range(3)))
            elif kind < 0.6:
                await memory.add_many([{"said": "abc", "id": str(dice.randrange(8))} for _ in range(3)])
            elif kind < 0.8:
                await memory.add(f"abc {seed}.{step}")
            else:
                await memory.search("abc", mode=dice.choice(["vector", "words"]))


if __name__ == "__main__":
    asyncio.run(change(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
