"""Strands: the store calls of a turn with a tool, as its two kinds of session managers make them.

`RepositorySessionManager`: four messages, one commit each, and the agent's state. `SnapshotSessionManager`:
the whole agent as one value. Strands itself brings files and S3.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.frameworks.contestant import Contestant, Places, Turn
from miniagent_store.handle import StoreHandle

if TYPE_CHECKING:
    from strands.session.session_repository import SessionRepository

PACKAGE = "strands-agents"
SESSION, AGENT = "trip", "guide"


def contestants(places: Places) -> list[Contestant]:
    from strands.session.file_session_manager import FileSessionManager
    from strands.storage import LocalFileStorage

    from miniagent_store.integrations.strands import MiniAgentSessionRepository, MiniAgentStorage

    def ours(url: str, history: int) -> SessionRepository:
        return MiniAgentSessionRepository(url, prefix=f"strands-{history}")

    def files(folder: Path, history: int) -> SessionRepository:
        return FileSessionManager("other", storage_dir=str(folder / f"repository-{history}"))

    return [
        Contestant("repository: ours, SQLite", partial(messages, partial(ours, places.sqlite))),
        Contestant("repository: ours, Redis", partial(messages, partial(ours, places.redis))),
        Contestant("repository: FileSessionManager", partial(messages, partial(files, places.folder))),
        Contestant("snapshot: ours, SQLite", partial(snapshots, partial(MiniAgentStorage, places.sqlite))),
        Contestant("snapshot: ours, Redis", partial(snapshots, partial(MiniAgentStorage, places.redis))),
        Contestant(
            "snapshot: LocalFileStorage",
            partial(snapshots, partial(LocalFileStorage, str(places.folder / "snapshots"))),
        ),
    ]


def said(number: int) -> Any:
    from strands.types.session import SessionMessage

    text = f"Message {number}: " + "the weather is fine, and will stay so. " * 3
    role: Any = "user" if number % 2 == 0 else "assistant"
    return SessionMessage({"role": role, "content": [{"text": text}]}, number)


@asynccontextmanager
async def messages(make: Callable[[int], SessionRepository], history: int) -> AsyncIterator[Turn]:
    from strands.types.session import Session, SessionAgent, SessionType

    repository = make(history)
    repository.create_session(Session(SESSION, SessionType.AGENT))
    agent = SessionAgent(AGENT, {"visited": []}, {})
    repository.create_agent(SESSION, agent)
    handle: StoreHandle | None = getattr(repository, "_handle", None)
    if handle is None:
        for number in range(history):
            repository.create_message(SESSION, AGENT, said(number))
    else:
        entries = [said(number).to_dict() for number in range(history)]
        key = f"strands-{history}/{SESSION}"
        await handle.run(lambda store: store.append(key, *entries, log=f"m:{AGENT}"))
    numbers = itertools.count(history)

    async def turn() -> None:
        for _ in range(4):
            repository.create_message(SESSION, AGENT, said(next(numbers)))
        repository.update_agent(SESSION, agent)

    yield turn
    if handle is not None:
        await handle.aclose()


@asynccontextmanager
async def snapshots(make: Callable[[], Any], history: int) -> AsyncIterator[Turn]:
    storage = make()
    key = f"session/{history}/scopes/agent/{AGENT}/snapshots/snapshot_latest.json"
    await storage.read(key)
    blob = json.dumps([said(number).to_dict() for number in range(history)]).encode()
    await storage.write(key, blob)
    write: Callable[[str, bytes], Awaitable[None]] = storage.write

    async def turn() -> None:
        await write(key, blob)

    yield turn
    if hasattr(storage, "_handle"):
        await storage._handle.aclose()
