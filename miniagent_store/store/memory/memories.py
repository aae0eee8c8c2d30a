"""The scopes of a store that are in use, so that their indexes are kept."""

from __future__ import annotations

from miniagent_store.embedder import Embedder
from miniagent_store.store.cache import Cache
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory.choosing import Choosing, Later
from miniagent_store.store.memory.embedding import embedder_of
from miniagent_store.store.memory.scope import MemoryScope

# Those used last; an index that falls out is filled anew when it is asked again.
KNOWN = 64


class Memories:
    """Makes `MemoryScope`s, each once.

    Args:
        core: of the store; its plugins bring embedders and indexes.
        cache: of the store.
        later: does work beside its callers.
    """

    def __init__(self, core: StoreCore, cache: Cache, later: Later) -> None:
        self._core, self._cache, self._later = core, cache, later
        self._known: dict[tuple[str, str, str, bool], MemoryScope] = {}

    def scope(
        self, scope: str, embedder: str | Embedder, index: str, *, plain_vectors: bool
    ) -> MemoryScope:
        """As `SessionStore.memory`."""
        made = embedder_of(self._core, embedder)
        key = (scope, made.name, index, plain_vectors)
        known = self._known.pop(key, None)
        if known is None:
            choosing = Choosing(self._core, self._later, index, plain_vectors=plain_vectors)
            known = MemoryScope(self._core, scope, made, self._cache, choosing)
        self._known[key] = known
        if len(self._known) > KNOWN:
            self._known.pop(next(iter(self._known)))
        return known
