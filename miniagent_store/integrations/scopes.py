"""What the memories of frameworks share: scopes of a store, from any event loop, and how they are shown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from miniagent_store.embedder import Embedder
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.store.memory.limits import cut
from miniagent_store.store.memory.notes import as_notes
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL
from miniagent_store.values import Memory


class Scopes:
    """Memories of a store, by scope.

    Args:
        store: a URL, a `SessionStore` or a `StoreHandle`.
        embedder, index, plain_vectors: as `SessionStore.memory` takes them. An embedder that is an object
            is called in the store's event loop, which may be the background loop of the process.
    """

    def __init__(
        self,
        store: str | StoreURL | SessionStore | StoreHandle | None,
        embedder: str | Embedder = "hash",
        index: str = "auto",
        *,
        plain_vectors: bool = False,
    ) -> None:
        self.handle: StoreHandle = handle_of(store)
        self._how: dict[str, Any] = {"embedder": embedder, "index": index, "plain_vectors": plain_vectors}

    async def search(self, scope: str, query: str, **wanted: Any) -> list[Memory]:
        """As `MemoryScope.search`; nothing for a query without text, and of a very long one its end."""
        asked = cut(query, end=True)
        if not asked.strip():
            return []
        return await self.handle.run(lambda store: store.memory(scope, **self._how).search(asked, **wanted))

    async def add(self, scope: str, memories: Iterable[Mapping[str, Any]]) -> None:
        """As `MemoryScope.add_many`; those without text are left out, and very long ones are cut."""
        new = [{**each, "said": cut(each["said"])} for each in memories if each["said"].strip()]
        if new:
            await self.handle.run_to_end(lambda store: store.memory(scope, **self._how).add_many(new))

    async def delete(self, scope: str, *ids: str) -> int:
        """As `MemoryScope.delete`."""
        return await self.handle.run_to_end(lambda store: store.memory(scope, **self._how).delete(*ids))


def id_of_text(*parts: str) -> str:
    """An id for what has none of its own: what is said again, or stored again, is remembered once."""
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]


def notes(memories: Sequence[Memory]) -> str:
    """What a model is shown of memories, a line each, the oldest first; empty for none."""
    if not memories:
        return ""
    return as_notes(sorted(memories, key=lambda each: (each.time, each.id)))
