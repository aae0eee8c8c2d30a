"""A process that talks in sessions of some users: ``usage_writer.py URL SEED COUNT``."""

from __future__ import annotations

import asyncio
import random
import sys

from miniagent_store import Message, open_store

USERS = ["ada", "bob", "cleo", None]


async def main(url: str, seed: int, count: int) -> None:
    chosen = random.Random(seed)
    async with open_store(url, analytics=True) as store:
        sessions = [(await store.create(user_id=user)).id for user in USERS]

        async def one(number: int) -> None:
            tokens = {"input_tokens": number % 7, "output_tokens": 3}
            answer = Message.assistant("hi", metadata={"usage": tokens})
            await store.append(chosen.choice(sessions), Message.user("hello"), answer)

        for start in range(0, count, 10):
            await asyncio.gather(*map(one, range(start, start + 10)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
