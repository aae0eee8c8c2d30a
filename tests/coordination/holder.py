"""Holds leases as it is told on its input, and tells what becomes of them on its output.

``python -m tests.coordination.holder URL NAMESPACE``; each line in is ``KIND SESSION TTL``, KIND "turn" or
"lock", answered with ``held``; the next line lets it write, answered with ``stored`` or an error's name.
"""

from __future__ import annotations

import asyncio
import sys

from miniagent_store import Message, SessionStore, StoreError, open_store
from miniagent_store.store import turn as turns

MESSAGE = Message.user("too late")


async def next_line() -> str:
    return (await asyncio.to_thread(sys.stdin.readline)).strip()


async def hold(store: SessionStore, kind: str, session_id: str, ttl: float) -> None:
    """Take it, and write when told."""
    turns.TURN_TTL = ttl
    if kind == "turn":
        async with store.turn(session_id) as turn:
            print("held", flush=True)
            await next_line()
            turn.append(MESSAGE)
    else:
        async with store.lock(f"lock/{session_id}", ttl=ttl) as lease:
            await store.append(session_id, Message.user("held"), fence=lease)
            print("held", flush=True)
            await next_line()
            await store.append(session_id, MESSAGE, fence=lease.fence)


async def serve(url: str, namespace: str) -> None:
    async with open_store(url, namespace=namespace) as store:
        await store.health()
        print("ready", flush=True)
        while line := await next_line():
            kind, session_id, ttl = line.split()
            try:
                await hold(store, kind, session_id, float(ttl))
            except StoreError as error:
                print(type(error).__name__, flush=True)
            else:
                print("stored", flush=True)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
