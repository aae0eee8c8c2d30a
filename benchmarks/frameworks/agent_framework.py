"""Microsoft Agent Framework: what a turn with a tool reads and saves, and the saving of a checkpoint.

The framework asks for the whole history at each turn; the turn adds four messages. For checkpoints, the
history is that of earlier checkpoints of the same workflow.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from benchmarks.frameworks.contestant import Contestant, Places, Turn

PACKAGE = "agent-framework-core"


def contestants(places: Places) -> list[Contestant]:
    from agent_framework import FileCheckpointStorage, FileHistoryProvider

    from miniagent_store.integrations.agent_framework import (
        MiniAgentCheckpointStorage,
        MiniAgentHistoryProvider,
    )

    ours = [
        Contestant(f"{what}: ours, {place}", partial(how, partial(make, url)))
        for what, how, make in (
            ("history", turns, MiniAgentHistoryProvider),
            ("checkpoint", checkpoints, MiniAgentCheckpointStorage),
        )
        for place, url in (("SQLite", places.sqlite), ("Redis", places.redis))
    ]
    folder = places.folder
    theirs = [
        Contestant(
            "history: FileHistoryProvider", partial(turns, partial(FileHistoryProvider, folder / "h"))
        ),
        *_their_redis(places),
        Contestant(
            "checkpoint: FileCheckpointStorage",
            partial(checkpoints, lambda: FileCheckpointStorage(folder / f"c{next(_folders)}")),
        ),
    ]
    return [*ours, *theirs]


_folders = itertools.count()


def _their_redis(places: Places) -> list[Contestant]:
    try:
        from agent_framework_redis import RedisHistoryProvider
    except ImportError:
        return []
    host, port = places.redis_address
    make = partial(RedisHistoryProvider, redis_url=f"redis://{host}:{port}/1", application_id="bench")
    return [Contestant("history: RedisHistoryProvider", partial(turns, make))]


def said(number: int) -> Any:
    from agent_framework import Message

    text = f"Message {number}: " + "the weather is fine, and will stay so. " * 3
    return Message("user" if number % 2 == 0 else "assistant", [text])


@asynccontextmanager
async def turns(make: Callable[[], Any], history: int) -> AsyncIterator[Turn]:
    provider = make()
    session_id = f"trip-{history}"
    await provider.save_messages(session_id, [said(number) for number in range(history)])
    numbers = itertools.count(history)

    async def turn() -> None:
        await provider.get_messages(session_id)
        await provider.save_messages(session_id, [said(next(numbers)) for _ in range(4)])

    yield turn
    await _close(provider)


@asynccontextmanager
async def checkpoints(make: Callable[[], Any], history: int) -> AsyncIterator[Turn]:
    from agent_framework import WorkflowCheckpoint

    storage = make()
    state = {"_executor_state": {"one": {"seen": list(range(100))}}}

    async def save() -> None:
        await storage.save(WorkflowCheckpoint(f"trip-{history}", "graph", state=state))

    for _ in range(history):
        await save()
    yield save
    await _close(storage)


async def _close(made: Any) -> None:
    if hasattr(made, "_handle"):
        await made._handle.aclose()
