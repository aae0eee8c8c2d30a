"""Many sessions, made quickly below the store, and where they are kept."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.backend import Create
from miniagent_store.store.batch import Batch
from miniagent_store.store.store import Store
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.servers import Server

AT_ONCE = 500


@dataclass(frozen=True)
class Place:
    """Where sessions are kept.

    Attributes:
        servers: the masters, where there are servers.
        path: the file, where there is one.
        namespace: of all stores that are opened on it.
    """

    url: str
    servers: Sequence[Server] = ()
    path: Path | None = None
    namespace: str = ""

    def alone(self) -> Place:
        """The same, with a namespace of its own."""
        return replace(self, namespace=uuid.uuid4().hex)

    def keys(self) -> int:
        """How many keys all masters hold."""
        return sum(server.command("DBSIZE") for server in self.servers)


@contextmanager
def place_of(kind: str, folder: Path) -> Iterator[Place]:
    """An empty place: "sqlite", "redis" or "cluster"."""
    if kind == "sqlite":
        path = folder / "sessions.db"
        yield Place(f"sqlite:///{path}", path=path)
    elif kind == "redis":
        with Server() as server:
            yield Place(server.url, [server])
    else:
        with ClusterGroup() as group:
            yield Place(group.url, group.masters())


@asynccontextmanager
async def opened(place: Place, **options: Any) -> AsyncIterator[SessionStore]:
    async with open_store(place.url, deadline=60, namespace=place.namespace, **options) as store:
        yield store


async def make_sessions(
    store: SessionStore, ids: Sequence[str], create: Callable[[int], Create], *, messages: int = 3
) -> None:
    """Make sessions of some messages and a state value, in one commit each, many at once."""
    await store.open()
    for at in range(0, len(ids), AT_ONCE):
        await asyncio.gather(
            *(
                _make(store, session_id, create(at + number), messages)
                for number, session_id in enumerate(ids[at : at + AT_ONCE])
            )
        )


async def _make(store: SessionStore, session_id: str, create: Create, messages: int) -> None:
    assert isinstance(store, Store)
    batch = Batch(store._core, session_id, create=create)
    for number in range(messages):
        batch.append(Message.user(f"message {number} of {session_id}"))
    if messages:
        batch.state.set("plan", "think, then answer")
    await batch.commit()
