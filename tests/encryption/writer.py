"""Run as a process: changes sessions as fast as it can, and prints what was acknowledged.

python writer.py URL NAME SESSIONS
"""

from __future__ import annotations

import asyncio
import os
import sys

from miniagent_store import open_store


async def write(url: str, name: str, sessions: int) -> None:
    async with open_store(url) as store:

        async def one(number: int) -> None:
            session_id, count = f"s{number}", 0
            while True:
                text = f"{name}/{number}/{count}"
                async with store.batch(session_id, create=True) as batch:
                    batch.append({"role": "user", "content": text, "id": text})
                    batch.state.set(f"{name}-latest", count)
                    if count % 5 == 0:
                        batch.metadata = {"by": text}
                if count % 7 == 0:
                    await store.cache.set(f"{name}-{number}", {"count": count})
                    await store.kv("settings").set(f"{name}-{number}", count, ttl=7200)
                if count % 11 == 10:
                    # The same id again: stored once, whichever key its digest was made with.
                    await store.append(session_id, {"role": "user", "content": text, "id": text})
                # One write a line, so that a kill never leaves half of one.
                os.write(1, f"{text}\n".encode())
                count += 1

        await asyncio.gather(*(one(number) for number in range(sessions)))


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], sys.argv[2], int(sys.argv[3])))
