"""ADK's `BaseMemoryService`: what users said in other sessions, found by meaning and by words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from miniagent_store.embedder import Embedder
from miniagent_store.handle import StoreHandle
from miniagent_store.ids import join_id
from miniagent_store.integrations.google_adk.names import Place
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.scopes import Scopes, id_of_text
from miniagent_store.store.kv import KeyValue
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL
from miniagent_store.values import Memory, MemorySource

with requires("google-adk", extra="google-adk"):
    from google.adk.events.event import Event
    from google.adk.memory.base_memory_service import BaseMemoryService, SearchMemoryResponse
    from google.adk.memory.memory_entry import MemoryEntry
    from google.adk.sessions.session import Session
    from google.genai import types


class MiniAgentMemoryService(BaseMemoryService):
    """Memories of the users of apps, in any store: ``Runner(…, memory_service=…)``.

    The text of each event is a memory. A session that is added again, or an event, is there once; what
    `delete_memory` removed does not come back with it. Where `MiniAgentSessionService` keeps the sessions
    in the same store, deleting one removes its memories. May be called from any event loop and thread.

    Args:
        store: a URL, a `SessionStore` or a `StoreHandle`.
        embedder, index, plain_vectors: as `SessionStore.memory` takes them.
        k: at most so many memories are found.
        min_score: what fits less is not found.
    """

    def __init__(
        self,
        store: str | StoreURL | SessionStore | StoreHandle | None = None,
        *,
        embedder: str | Embedder = "hash",
        index: str = "auto",
        plain_vectors: bool = False,
        k: int = 10,
        min_score: float | None = None,
    ) -> None:
        self._scopes = Scopes(store, embedder, index, plain_vectors=plain_vectors)
        self._owns = not isinstance(store, StoreHandle)
        self._k, self._min_score = k, min_score

    async def add_session_to_memory(self, session: Session) -> None:
        """Remember what was said in a session; what is remembered of it already stands.

        Raises:
            StoreError: it was not, or not all of it; to do it again adds the rest.
        """
        await self._add_events(session.app_name, session.user_id, session.events, session.id, None)

    async def add_events_to_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        events: Sequence[Event],
        session_id: str | None = None,
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Remember events.

        Args:
            app_name, user_id: whose memory it is.
            events: which.
            session_id: of which session.
            custom_metadata: kept with each; `ttl`, in seconds or as "30d", is how long they are.
        """
        await self._add_events(app_name, user_id, events, session_id, custom_metadata)

    async def _add_events(
        self,
        app: str,
        user: str,
        events: Iterable[Event],
        session_id: str | None,
        custom: Mapping[str, object] | None,
    ) -> None:
        place = None if session_id is None else Place.of(app, user, session_id).session_id
        new = [
            {
                "id": id_of_text(place or "", event.id),
                **_memory(event.content, event.author, custom),
                "source": None if place is None else MemorySource(place),
                "time": datetime.fromtimestamp(event.timestamp, UTC),
            }
            for event in events
            if event.content is not None and not event.partial
        ]
        scope = scope_of(app, user)
        ids = [each["id"] for each in new if each["said"]]
        gone = await self._scopes.handle.run(lambda store: _deleted(store, scope).get_many(ids))
        await self._scopes.add(scope, [each for each in new if each["id"] not in gone])

    async def add_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        memories: Sequence[MemoryEntry],
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Remember what is no event. One without an id is known by its text.

        Args:
            app_name, user_id: whose memory it is.
            memories: what.
            custom_metadata: as `add_events_to_memory` takes it, beside each memory's own.
        """
        new: list[dict[str, Any]] = []
        for each in memories:
            memory = _memory(each.content, each.author, {**each.custom_metadata, **(custom_metadata or {})})
            memory["id"] = each.id or id_of_text("memory", memory["said"])
            if each.timestamp is not None:
                memory["time"] = datetime.fromisoformat(each.timestamp).astimezone(UTC)
            new.append(memory)
        await self._scopes.add(scope_of(app_name, user_id), new)

    async def search_memory(self, *, app_name: str, user_id: str, query: str) -> SearchMemoryResponse:
        """What of a user's fits a query, the best first."""
        found = await self._scopes.search(
            scope_of(app_name, user_id), query, k=self._k, min_score=self._min_score
        )
        return SearchMemoryResponse(memories=[_entry(each) for each in found])

    async def delete_memory(self, *, app_name: str, user_id: str, memory_id: str | None = None) -> None:
        """Forget a memory, by the id that a search gave it; its event is not remembered again."""
        if not memory_id:
            return
        scope = scope_of(app_name, user_id)
        await self._scopes.handle.run_to_end(lambda store: _deleted(store, scope).set(memory_id, True))
        await self._scopes.delete(scope, memory_id)

    async def close(self) -> None:
        """Let go of what was opened here."""
        if self._owns:
            await self._scopes.handle.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def scope_of(app: str, user: str) -> str:
    """The scope of a user of an app, for `SessionStore.memory`."""
    return join_id("google_adk", app, user)


def _deleted(store: SessionStore, scope: str) -> KeyValue:
    return store.kv(f"google_adk/forgotten/{scope}")


def _memory(
    content: types.Content, author: str | None, custom: Mapping[str, object] | None
) -> dict[str, Any]:
    kept = dict(custom or {})
    ttl = kept.pop("ttl", None)
    # A memory's own metadata are plain values; what is nested would not be among them.
    metadata = {"author": author, "role": content.role, "custom": json.dumps(kept) if kept else None}
    said = (each.text for each in content.parts or () if each.text and not each.thought)
    return {
        "said": " ".join(said).strip(),
        "metadata": {name: value for name, value in metadata.items() if value is not None},
        "ttl": ttl,
    }


def _entry(memory: Memory) -> MemoryEntry:
    known: Mapping[str, Any] = memory.metadata
    return MemoryEntry(
        id=memory.id,
        content=types.Content(role=known.get("role"), parts=[types.Part(text=memory.text)]),
        author=known.get("author"),
        timestamp=memory.time.isoformat(),
        custom_metadata=json.loads(known.get("custom", "{}")),
    )
