"""The index of a scope, kept up to date with its record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from miniagent_store.errors import BackendUnavailableError, ConfigurationError
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import candidates, layout
from miniagent_store.store.memory.embedding import Embedding
from miniagent_store.store.memory.following import changes_since, read_items
from miniagent_store.values import StateItem, to_ms
from miniagent_store.vector_index import (
    IndexedVector,
    IndexGone,
    IndexPlace,
    IndexQuery,
    VectorIndex,
)

Make = Callable[[IndexPlace], Awaitable[VectorIndex]]
# How often an index that is lost while it is asked is brought up to date again.
TRIES = 5


class Indexed:
    """Brings an index up to date before it is asked.

    What it has applied is told by the incarnation of the record and the last change: "3f…:120".

    Args:
        core: of the store.
        record_id: of the scope.
        embedding: of its texts.
        make: makes an index of them, at a place.
    """

    def __init__(self, core: StoreCore, record_id: str, embedding: Embedding, make: Make) -> None:
        self._core, self._record_id, self._embedding, self._make = core, record_id, embedding, make
        self._index: VectorIndex | None = None
        self._turn = asyncio.Lock()

    async def claim(self, batch: Batch, dimensions: int) -> None:
        """Have a commit say whose vectors stand here, where nothing says so yet.

        Raises:
            ConfigurationError: they are of another model.
        """
        if await self._dimensions(dimensions) is None:
            batch.state.set_if_absent(
                layout.MODEL, {"name": self._embedding.name, "dimensions": dimensions}, required=True
            )

    async def _dimensions(self, given: int | None) -> int | None:
        """Of the vectors that stand here; None if there are none."""
        for item in await read_items(self._core, self._record_id, [layout.MODEL]):
            name, dimensions = item.value["name"], int(item.value["dimensions"])
            if name != self._embedding.name or given not in (None, dimensions):
                ours = f"{self._embedding.name} ({given} dimensions)" if given else self._embedding.name
                raise ConfigurationError(
                    f"the memories here have vectors of {name} ({dimensions} dimensions), not of {ours}; "
                    "use that, or make them anew: miniagent-store memory reindex"
                )
            return dimensions
        return None

    # The index

    async def search(self, query: IndexQuery) -> Sequence[tuple[str, float]]:
        """Ask the index, once it knows all that was committed before this call.

        Raises:
            ConfigurationError: it holds vectors of another model, or the index that was asked for by name
                cannot stand here.
            BackendUnavailableError: it is lost again and again.
        """
        for _ in range(TRIES):
            try:
                async with self._turn:
                    index = await self._current(len(query.vector) // 4)
                if index is None:
                    return ()
                if index.capabilities.exact:
                    return await index.search(query)
                return await candidates.best(self._core, self._record_id, index, query)
            except IndexGone:
                continue
        raise BackendUnavailableError(
            f"the index of {self._record_id!r} is lost as often as it is filled: it has too little memory, "
            "or others fill it too; try again, or use index='exact'"
        )

    async def drop(self) -> None:
        """Remove the index."""
        async with self._turn:
            if self._index is not None:
                await self._index.drop()
            self._index = None

    async def _current(self, dimensions: int) -> VectorIndex | None:
        if await self._dimensions(dimensions) is None:
            self._index = None
            return None
        if self._index is None:
            place = IndexPlace(self._core.backend, self._record_id, self._embedding.name, dimensions)
            self._index = await self._make(place)
        index = self._index
        applied = await index.applied()
        async for changes in changes_since(self._core, self._record_id, applied, _names):
            vectors = _vectors(changes.items)
            there = {each.id for each in vectors}
            gone = [each for each in changes.changed if each not in there]
            await index.apply(vectors, gone, changes.upto, anew=changes.anew)
        return index


def _names(ids: Sequence[str]) -> list[str]:
    return [name for each in ids for name in (layout.text_name(each), layout.vector_name(each))]


def _vectors(items: Iterable[StateItem]) -> list[IndexedVector]:
    by_name = {each.name: each for each in items}
    made = []
    for name, item in by_name.items():
        id = layout.id_of(name)
        vector = by_name.get(layout.vector_name(id)) if name == layout.text_name(id) else None
        if vector is not None:
            expires = None if item.expires_at is None else to_ms(item.expires_at)
            value = item.value
            made.append(IndexedVector(id, vector.value, value["metadata"], value["time"], expires))
    return made
