"""The index of a scope, kept up to date with its record."""

from __future__ import annotations

import asyncio
import logging
import shlex
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from miniagent_store.errors import (
    BackendUnavailableError,
    ConfigurationError,
    EmbedderUnavailableError,
    EmbeddingError,
)
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import candidates, layout
from miniagent_store.store.memory.embedding import Embedding
from miniagent_store.store.memory.following import IN_A_THREAD, changes_since, read_items
from miniagent_store.store.memory.generations import Model, model_in
from miniagent_store.store.memory.renewing import Renewing
from miniagent_store.values import StateItem
from miniagent_store.vector_index import (
    IndexedVector,
    IndexGone,
    IndexPlace,
    IndexQuery,
    VectorIndex,
)

logger: logging.Logger = logging.getLogger("miniagent_store")
T = TypeVar("T")
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
        self._model: Model | None = None
        self._turn = asyncio.Lock()

    async def claim(self, batch: Batch, dimensions: int) -> Model:
        """Have a commit say whose vectors stand here, where nothing says so yet; returns whose they are.

        Raises:
            ConfigurationError: they are of another model.
        """
        model = await self._in_use(dimensions)
        if model is None:
            model = Model(self._embedding.name, dimensions)
            batch.state.set_if_absent(layout.MODEL, model.to_dict(), required=True)
        return model

    async def _in_use(self, dimensions: int) -> Model | None:
        """Whose vectors stand here; None if there are none."""
        model = model_in(await read_items(self._core, self._record_id, [layout.MODEL]))
        if model is not None and not model.is_of(self._embedding.name, dimensions):
            # Nobody asks it any more.
            self._index = None
            scope = layout.scope_of(self._record_id)
            raise ConfigurationError(
                f"the memories of {scope!r} have vectors of {model.name} ({model.dimensions} dimensions), "
                f"not of {self._embedding.name} ({dimensions}); use that, or make them anew: "
                f"miniagent-store memory reindex {shlex.quote(scope)} "
                f"--embedder {shlex.quote(self._embedding.name)}"
            )
        return model

    # The index

    async def search(self, query: IndexQuery) -> Sequence[tuple[str, float]]:
        """Ask the index, once it knows all that was committed before this call.

        Raises:
            ConfigurationError: it holds vectors of another model, or the index that was asked for by name
                cannot stand here.
            EmbeddingError: what a process with another model added cannot be embedded now.
            BackendUnavailableError: it is lost again and again.
        """
        for _ in range(TRIES):
            try:
                async with self._turn:
                    model = await self._in_use(len(query.vector) // 4)
                    index = await self._current(model)
                if index is None or model is None:
                    return ()
                if index.capabilities.exact:
                    return await index.search(query)
                return await candidates.best(self._core, self._record_id, index, query, model)
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

    async def _current(self, model: Model | None) -> VectorIndex | None:
        if model != self._model:
            self._index, self._model = None, model
        if model is None:
            return None
        if self._index is None:
            place = IndexPlace(self._core.backend, self._record_id, model.place, model.dimensions)
            self._index = await self._make(place)
        index = self._index
        applied = await index.applied()
        async for changes in changes_since(self._core, self._record_id, applied, model.names):
            vectors = await self._vectors(model, changes.items)
            there = {each.id for each in vectors}
            gone = [each for each in changes.changed if each not in there]
            await index.apply(vectors, gone, changes.upto, anew=changes.anew)
        return index

    async def _vectors(self, model: Model, items: Sequence[StateItem]) -> list[IndexedVector]:
        """Of memories that were read; those that lack one get it, and are left out if they are no more."""
        for is_renewed in (False, True):
            if model_in(items) not in (None, model):
                raise IndexGone
            work = partial(model.vectors, items)
            found, lacking = await (asyncio.to_thread(work) if len(items) > IN_A_THREAD else _now(work))
            if not lacking or is_renewed:
                break
            # Added by a process that did not see yet that another model is in use.
            renewing = Renewing(self._core, self._record_id, self._embedding, model)
            try:
                await renewing.renew(lacking, partial(_see_in_use, model))
            except EmbedderUnavailableError:
                raise
            except EmbeddingError as error:
                logger.warning("memories of %r cannot be found by meaning: %s", self._record_id, error)
                break
            ids = [layout.id_of(each.name) for each in items if each.name != layout.MODEL]
            names = model.names(list(dict.fromkeys(ids)))
            items = await read_items(self._core, self._record_id, names)
        return found


def _see_in_use(model: Model, batch: Batch, items: Sequence[StateItem], last: str) -> None:
    if model_in(items) != model:
        raise IndexGone


async def _now(work: Callable[[], T]) -> T:
    return work()
