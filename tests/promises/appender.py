"""Run as a process: appends turns to a session as fast as it can, and prints each that was acknowledged.

python appender.py URL SESSION TASKS [TURNS]
"""

from __future__ import annotations

import asyncio
import os
import sys

from miniagent_store import Message, open_store


async def append_turns(url: str, session_id: str, tasks: int, turns: int | None) -> None:
    async with open_store(url) as store:

        async def one(task: int) -> None:
            number = 0
            while turns is None or number < turns:
                name = f"{os.getpid()}/{task}/{number}"
                await store.append(
                    session_id, Message.user(f"{name}?"), Message.assistant(f"{name}!"), create=True
                )
                # One write a line, so that a kill never leaves half of one.
                os.write(1, f"{name}\n".encode())
                number += 1

        await asyncio.gather(*(one(task) for task in range(tasks)))


if __name__ == "__main__":
    url, session_id, tasks, *rest = sys.argv[1:]
    asyncio.run(append_turns(url, session_id, int(tasks), int(rest[0]) if rest else None))
