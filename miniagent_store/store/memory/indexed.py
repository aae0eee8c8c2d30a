"""The index of a scope, kept up to date with its record."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence

from miniagent_store.backend import LogRange, ReadPlan, ReadResult, StateScan, StoredValue
from miniagent_store.embedder import Embedder
from miniagent_store.errors import ConfigurationError, InvalidArgumentError
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout
from miniagent_store.values import StateItem, from_ms, to_ms
from miniagent_store.vector_index import IndexedVector, IndexFactory, IndexPlace, IndexQuery, VectorIndex

# Memories of one read.
PAGE = 500


class Indexed:
    """Brings an index up to date before it is asked.

    What it has applied is told by the incarnation of the record and the last change: "3f…:120".

    Args:
        core: of the store.
        record_id: of the scope.
        embedder: of its texts.
        factory: of its index.
    """

    def __init__(self, core: StoreCore, record_id: str, embedder: Embedder, factory: IndexFactory) -> None:
        self._core, self._record_id, self._embedder, self._factory = core, record_id, embedder, factory
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
        """Ask the index, once it knows all that was committed before this call."""
        async with self._turn:
            index = await self._current()
            return () if index is None else await index.search(query)

    async def drop(self) -> None:
        """Remove the index."""
        async with self._turn:
            if self._index is not None:
                await self._index.drop()
            self._index = None

    async def _current(self) -> VectorIndex | None:
        applied = None if self._index is None else await self._index.applied()
        incarnation, _, number = (applied or "").partition(":")
        after = int(number or 0)
        plan = ReadPlan(
            self._record_id, (LogRange(layout.CHANGES, after=after, limit=PAGE),), names=(layout.MODEL,)
        )
        result = await self._core.read(plan)
        if result.record is None or not self._is_ours(result):
            self._index = None
            return None
        if self._index is None:
            place = IndexPlace(
                self._core.backend, self._record_id, self._embedder.name, self._embedder.dimensions or 0
            )
            self._index = self._factory.make(place)
        tail = result.record.tail(layout.CHANGES)
        if incarnation != result.record.incarnation or after < tail.base or tail.last - after > PAGE:
            await self._fill(self._index, result)
        elif tail.last > after:
            await self._follow(self._index, result)
        return self._index

    async def _follow(self, index: VectorIndex, result: ReadResult) -> None:
        """Take what changed since."""
        assert result.record is not None
        entries = await self._core.coding.decode_entries(self._record_id, layout.CHANGES, result.entries[0])
        changed = list(dict.fromkeys(each for entry in entries for each in entry.value["ids"]))
        names = [name for each in changed for name in (layout.text_name(each), layout.vector_name(each))]
        # May be newer than the changes that were read: these come again, and find the same.
        now = await self._core.read(ReadPlan(self._record_id, names=tuple(names)))
        vectors = self._vectors(now.values)
        there = {each.id for each in vectors}
        upto = f"{result.record.incarnation}:{entries[-1].seq}"
        await index.apply(vectors, [each for each in changed if each not in there], upto)

    async def _fill(self, index: VectorIndex, result: ReadResult) -> None:
        """Begin anew, with all that stands."""
        assert result.record is not None
        upto = f"{result.record.incarnation}:{result.record.tail(layout.CHANGES).last}"
        texts: list[StoredValue] = []
        start: str | None = None
        vectors: list[IndexedVector] = []
        while True:
            scan = StateScan(layout.text_name(), start, PAGE + 1)
            texts = list((await self._core.read(ReadPlan(self._record_id, scans=(scan,)))).scans[0])
            page = texts[:PAGE]
            names = tuple(layout.vector_name(layout.id_of(each.name)) for each in page)
            found = await self._core.read(ReadPlan(self._record_id, names=names)) if names else None
            vectors += self._vectors([*page, *(found.values if found else ())])
            if len(texts) <= PAGE:
                break
            start = texts[PAGE].name
            await asyncio.sleep(0)
        await index.apply(vectors, (), upto, anew=True)

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
