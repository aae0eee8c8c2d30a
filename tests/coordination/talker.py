"""Has many chats at once in one session, and names each turn on its output once it is acknowledged.

``python -m tests.coordination.talker URL NAMESPACE SESSION CHATS [REPLICAS]``
"""

from __future__ import annotations

import asyncio
import os
import sys

from miniagent_store import (
    BackendUnavailableError,
    FencedError,
    LockLostError,
    LockTimeoutError,
    Message,
    OutcomeUnknownError,
    SessionStore,
    open_store,
)

# Seconds that an answer takes.
THINKING = 0.005
NOT_STORED = (LockLostError, FencedError, BackendUnavailableError, LockTimeoutError)


async def say(store: SessionStore, session_id: str, name: str) -> None:
    """One turn, tried as a careful caller does: once in doubt, under the same identity."""
    commit_id: str | None = None
    while True:
        try:
            async with store.turn(session_id, wait=120, commit_id=commit_id) as turn:
                heard = len(turn.history)
                turn.append(Message.user(f"{name}?", metadata={"heard": heard}))
                await asyncio.sleep(THINKING)
                turn.append(Message.assistant(f"{name}!"))
        except OutcomeUnknownError as error:
            if error.final:
                raise
            commit_id = error.commit_id
        except NOT_STORED:
            continue
        else:
            return


async def talk(url: str, namespace: str, session_id: str, chats: int, replicas: str) -> None:
    async with open_store(
        url, namespace=namespace, **({"replicas": replicas} if replicas else {})
    ) as store:
        # Told, so that all processes begin together.
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

        async def chat(number: int) -> None:
            name = f"{os.getpid()}/{number}"
            await say(store, session_id, name)
            print(name, flush=True)

        await asyncio.gather(*(chat(number) for number in range(chats)))


if __name__ == "__main__":
    url, namespace, session_id, chats, *rest = sys.argv[1:]
    asyncio.run(talk(url, namespace, session_id, int(chats), rest[0] if rest else ""))
