"""The index of a scope, kept up to date with its record."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from miniagent_store.backend import LogRange, ReadPlan, ReadResult, StateScan, StoredValue
from miniagent_store.embedder import Embedder
from miniagent_store.errors import BackendUnavailableError, ConfigurationError, InvalidArgumentError
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout
from miniagent_store.store.memory.filters import holds
from miniagent_store.values import StateItem, from_ms, to_ms
from miniagent_store.vector_index import (
    IndexedVector,
    IndexFactory,
    IndexGone,
    IndexPlace,
    IndexQuery,
    VectorIndex,
    unfinished,
)

Choose = Callable[[IndexPlace], Awaitable[IndexFactory]]

logger: logging.Logger = logging.getLogger("miniagent_store")
# Memories of one read.
PAGE = 500
# Values from which on a thread is worth its while.
DECODED_IN_A_THREAD = 50
# How often an index that is lost while it is asked is brought up to date again.
TRIES = 5
# By how much more is asked for where too few of the candidates pass.
WIDER = 8


class Indexed:
    """Brings an index up to date before it is asked.

    What it has applied is told by the incarnation of the record and the last change: "3f…:120".

    Args:
        core: of the store.
        record_id: of the scope.
        embedder: of its texts.
        choose: how an index of them comes to be, at a place.
    """

    def __init__(self, core: StoreCore, record_id: str, embedder: Embedder, choose: Choose) -> None:
        self._core, self._record_id, self._embedder, self._choose = core, record_id, embedder, choose
        self._index: VectorIndex | None = None
        self._turn = asyncio.Lock()
        self._claimed: str | None = None

    # Vectors

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[bytes]:
        """The vectors of texts, packed.

        Raises:
            EmbeddingError: there is none for each, or one is none.
        """
        vectors = await self._embedder.embed(texts, query=query)
        return [self.packed(each) for each in vectors]

    def packed(self, vector: Sequence[float]) -> bytes:
        """A vector, checked and packed.

        Raises:
            InvalidArgumentError: its dimension is wrong, or a number in it is none.
        """
        if self._embedder.dimensions is not None and len(vector) != self._embedder.dimensions:
            raise InvalidArgumentError(
                f"a vector of {self._embedder.name} has {self._embedder.dimensions} dimensions, "
                f"not {len(vector)}"
            )
        if not all(map(math.isfinite, vector)):
            raise InvalidArgumentError("a vector holds a number that is none (NaN or infinite)")
        return layout.packed(vector)

    async def claim(self, batch: Batch) -> None:
        """Have a commit say whose vectors stand here, where nothing says so yet.

        Raises:
            ConfigurationError: they are of another model.
        """
        result = await self._core.read(ReadPlan(self._record_id, names=(layout.MODEL,)))
        if not self._is_ours(result):
            batch.state.set_if_absent(
                layout.MODEL,
                {"name": self._embedder.name, "dimensions": self._embedder.dimensions},
                required=True,
            )

    def _is_ours(self, result: ReadResult) -> bool:
        for item in self.items(result.values):
            if item.value["name"] != self._embedder.name:
                raise ConfigurationError(
                    f"the memories here have vectors of {item.value['name']}, not of "
                    f"{self._embedder.name}; "
                    f"miniagent-store memory reindex makes them anew"
                )
            return True
        return False

    def items(self, values: Iterable[StoredValue]) -> list[StateItem]:
        """Decoded values of state."""
        return [
            StateItem(
                each.name,
                self._core.coding.decode_value(self._record_id, each),
                each.version,
                None if each.expires_ms is None else from_ms(each.expires_ms),
            )
            for each in values
        ]

    # The index

    async def search(self, query: IndexQuery) -> Sequence[tuple[str, float]]:
        """Ask the index, once it knows all that was committed before this call.

        Raises:
            ConfigurationError: the index that was asked for by name cannot stand here.
            BackendUnavailableError: it is lost again and again.
        """
        for _ in range(TRIES):
            try:
                async with self._turn:
                    index = await self._current()
                if index is None:
                    return ()
                if index.capabilities.exact:
                    return await index.search(query)
                return await self._best(index, query)
            except IndexGone:
                continue
        raise BackendUnavailableError(
            f"the index of {self._record_id!r} is lost as often as it is filled; give it more memory"
        )

    async def _best(self, index: VectorIndex, query: IndexQuery) -> list[tuple[str, float]]:
        """Of candidates those that are nearest, by what is stored."""
        asked = query
        while True:
            found = await index.search(asked)
            best = await self._looked_at([each for each, _ in found], query)
            if len(best) >= query.k or len(found) < asked.k:
                return best
            asked = replace(asked, k=asked.k * WIDER)

    async def _looked_at(self, ids: Sequence[str], query: IndexQuery) -> list[tuple[str, float]]:
        names = [layout.vector_name(each) for each in ids]
        if query.filter:
            names += [layout.text_name(each) for each in ids]
        if not names:
            return []
        values = (await self._core.read(ReadPlan(self._record_id, names=tuple(names)))).values
        return await asyncio.to_thread(self._compared, values, query)

    def _compared(self, values: Sequence[StoredValue], query: IndexQuery) -> list[tuple[str, float]]:
        items = {each.name: each.value for each in self.items(values)}
        scored = [
            (layout.id_of(name), layout.product(value, query.vector))
            for name, value in items.items()
            if name.startswith(layout.vector_name())
        ]
        if query.filter:
            texts = {each: items.get(layout.text_name(each)) for each, _ in scored}
            scored = [
                each
                for each in scored
                if (text := texts[each[0]]) is not None and holds(query.filter, text["metadata"])
            ]
        scored.sort(key=lambda each: (-each[1], each[0]))
        return scored[: query.k]

    async def drop(self) -> None:
        """Remove the index."""
        async with self._turn:
            if self._index is not None:
                await self._index.drop()
            self._index = None

    async def _current(self) -> VectorIndex | None:
        if self._index is None:
            self._index = await self._made()
        applied = None if self._index is None else await self._index.applied()
        incarnation, _, number = (applied or "").partition(":")
        after = int(number or 0)
        plan = ReadPlan(
            self._record_id,
            (LogRange(layout.CHANGES, after=max(after, 0), limit=PAGE),),
            names=(layout.MODEL,),
        )
        result = await self._core.read(plan)
        if result.record is None or not self._is_ours(result):
            self._index = None
            return None
        if self._index is None:
            # Nothing said of what model it is, when it was to be made.
            self._index = await self._made()
            assert self._index is not None
        tail = result.record.tail(layout.CHANGES)
        if incarnation != result.record.incarnation or after < tail.base or tail.last - after > PAGE:
            await self._fill(self._index, result, lost=bool(applied))
        elif tail.last > after:
            await self._follow(self._index, result)
        return self._index

    async def _made(self) -> VectorIndex | None:
        """An index, of the dimensions that stand; None where nothing says of what model it is."""
        result = await self._core.read(ReadPlan(self._record_id, names=(layout.MODEL,)))
        if result.record is None or not self._is_ours(result):
            return None
        place = IndexPlace(
            self._core.backend, self._record_id, self._embedder.name, self._dimensions(result)
        )
        factory = await self._choose(place)
        return factory.make(place)

    def _dimensions(self, result: ReadResult) -> int:
        return next((item.value["dimensions"] for item in self.items(result.values)), None) or 0

    async def _follow(self, index: VectorIndex, result: ReadResult) -> None:
        """Take what changed since."""
        assert result.record is not None
        entries = await self._core.coding.decode_entries(self._record_id, layout.CHANGES, result.entries[0])
        changed = list(dict.fromkeys(each for entry in entries for each in entry.value["ids"]))
        upto = f"{result.record.incarnation}:{entries[-1].seq}"
        added: list[IndexedVector] = []
        for start in range(0, len(changed), PAGE):
            some = changed[start : start + PAGE]
            names = [name for each in some for name in (layout.text_name(each), layout.vector_name(each))]
            # May be newer than the changes that were read: these come again, and find the same.
            now = await self._core.read(ReadPlan(self._record_id, names=tuple(names)))
            added += await self._taken(now.values)
        there = {each.id for each in added}
        await index.apply(added, [each for each in changed if each not in there], upto)

    async def _fill(self, index: VectorIndex, result: ReadResult, *, lost: bool) -> None:
        """Begin anew, with all that stands, page by page."""
        assert result.record is not None
        incarnation, last = result.record.incarnation, result.record.tail(layout.CHANGES).last
        if lost:
            logger.info("the index of %r is filled anew", self._record_id)
        start: str | None = None
        is_first = True
        while True:
            scan = StateScan(layout.text_name(), start, PAGE + 1)
            texts = list((await self._core.read(ReadPlan(self._record_id, scans=(scan,)))).scans[0])
            page = texts[:PAGE]
            names = tuple(layout.vector_name(layout.id_of(each.name)) for each in page)
            found = await self._core.read(ReadPlan(self._record_id, names=names)) if names else None
            added = await self._taken([*page, *(found.values if found else ())])
            is_last = len(texts) <= PAGE
            upto = f"{incarnation}:{last}" if is_last else unfinished(incarnation)
            await index.apply(added, (), upto, anew=is_first)
            if is_last:
                return
            start, is_first = texts[PAGE].name, False

    async def _taken(self, values: Sequence[StoredValue]) -> list[IndexedVector]:
        if len(values) < DECODED_IN_A_THREAD:
            return self._vectors(values)
        return await asyncio.to_thread(self._vectors, values)

    def _vectors(self, values: Iterable[StoredValue]) -> list[IndexedVector]:
        items = {each.name: each for each in self.items(values)}
        made = []
        for name, item in items.items():
            if name.startswith(layout.text_name()):
                vector = items.get(layout.vector_name(layout.id_of(name)))
                if vector is not None:
                    expires = None if item.expires_at is None else to_ms(item.expires_at)
                    made.append(
                        IndexedVector(
                            layout.id_of(name),
                            vector.value,
                            item.value["metadata"],
                            item.value["time"],
                            expires,
                        )
                    )
        return made
