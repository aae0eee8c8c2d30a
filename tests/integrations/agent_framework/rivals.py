"""One of several processes that hold turns in one session at once.

    python -m tests.integrations.agent_framework.rivals WHAT URL NAME ROUNDS

WHAT is as in `conversation`. Prints what ended, and how often it was told of a conflict.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from agent_framework import AgentSession

from miniagent_store import VersionConflictError
from miniagent_store.integrations.agent_framework import (
    MiniAgentCheckpointStorage,
    MiniAgentHistoryProvider,
    MiniAgentSessionStore,
)
from tests.integrations.agent_framework.conversation import Points, agent, built


async def history(url: str, name: str, rounds: int) -> Any:
    guide = agent(Points(None), MiniAgentHistoryProvider(url))
    for number in range(rounds):
        await guide.run(f"How is it in {name}{number}", session=AgentSession(session_id="trip"))
    return {"ended": [f"How is it in {name}{number}" for number in range(rounds)], "refused": 0}


async def session(url: str, name: str, rounds: int) -> Any:
    store, guide = MiniAgentSessionStore(url), agent(Points(None))
    ended: list[str] = []
    refused = 0
    while len(ended) < rounds:
        found = await store.get("trip") or AgentSession(session_id="trip")
        await guide.run(text := f"How is it in {name}{len(ended)}", session=found)
        try:
            await store.set("trip", found)
        except VersionConflictError:
            refused += 1
        else:
            ended.append(text)
    return {"ended": ended, "refused": refused}


async def workflow(url: str, name: str, rounds: int) -> Any:
    storage = MiniAgentCheckpointStorage(url, scope="trip")
    for _ in range(rounds):
        await built(Points(None), storage).run([])
    return {"ended": [], "refused": 0}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(globals()[sys.argv[1]](sys.argv[2], sys.argv[3], int(sys.argv[4])))))
