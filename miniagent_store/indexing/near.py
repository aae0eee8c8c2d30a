"""The index ``usearch``: a graph of neighbours in the process (HNSW), for scopes that are large."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy
from numpy.typing import NDArray
from usearch.index import Index

from miniagent_store.cancellation import to_the_end
from miniagent_store.indexing.exact import check_sizes
from miniagent_store.indexing.nearest import best
from miniagent_store.indexing.room import room
from miniagent_store.indexing.rows import Rows
from miniagent_store.vector_index import (
    IndexCapabilities,
    IndexedVector,
    IndexGone,
    IndexPlace,
    IndexQuery,
)

CAPABILITIES = IndexCapabilities(exact=False, gradual=True)
# Neighbours of each, and how many are looked at to find them; benchmarks/memory_search.py measures these.
NEIGHBOURS, EFFORT_TO_ADD, EFFORT = 16, 128, 128
# bfloat16: half the memory, and candidates are compared by what is stored.
BYTES_OF_NUMBER, BYTES_OF_NEIGHBOURS = 2, 300
# Candidates beside those that are asked for.
MORE = 10
# As few as pass a filter are compared one by one; so are all that pass, where even so many candidates lack
# those that do.
FEW, MANY = 1_000, 10_000
MOST_DEAD = 4096


@dataclass(frozen=True, slots=True)
class Held:
    """What an index keeps: replaced as a whole, so that it may be let go of from any thread.

    Its lock is taken in threads only, for the graph.
    """

    rows: Rows
    graph: Index
    upto: str | None
    bytes_each: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bytes(self) -> int:
        return self.rows.bytes + len(self.rows) * self.bytes_each


class NearIndex:
    """The vectors of a scope as a graph of neighbours.

    Args:
        place: where; only its dimensions matter.
    """

    capabilities: IndexCapabilities = CAPABILITIES

    def __init__(self, place: IndexPlace) -> None:
        self._dimensions = place.dimensions
        self._turn = asyncio.Lock()
        self._held: Held | None = None

    def _new(self) -> Held:
        graph = Index(
            ndim=self._dimensions,
            metric="ip",
            dtype="bf16",
            connectivity=NEIGHBOURS,
            expansion_add=EFFORT_TO_ADD,
            expansion_search=EFFORT,
        )
        return Held(Rows(), graph, None, BYTES_OF_NUMBER * self._dimensions + BYTES_OF_NEIGHBOURS)

    async def applied(self) -> str | None:
        """As `VectorIndex.applied`."""
        held = self._held
        return None if held is None else held.upto

    async def apply(
        self,
        added: Sequence[IndexedVector],
        removed: Sequence[str],
        upto: str | None,
        *,
        anew: bool = False,
    ) -> None:
        """As `VectorIndex.apply`."""
        check_sizes(added, self._dimensions)
        async with self._turn:
            held = self._new() if anew else self._held
            if held is None:
                raise IndexGone
            await to_the_end(asyncio.to_thread(_take, held, added, removed))
            self._held = None if held.rows.dead > max(MOST_DEAD, len(held.rows.living)) else held
            if self._held is None:
                # Half of it is dead: it is filled anew.
                raise IndexGone
            self._held = replace(held, upto=upto)
            room.used(self, held.bytes)

    async def search(self, query: IndexQuery) -> Sequence[tuple[str, float]]:
        """As `VectorIndex.search`."""
        held = self._held
        if held is None or held.upto is None:
            raise IndexGone
        room.used(self, held.bytes)
        if held.rows.lacks_columns(query):
            async with self._turn:
                await to_the_end(asyncio.to_thread(held.rows.want_columns, query))
        return await asyncio.to_thread(_found, held, query)

    async def drop(self) -> None:
        """As `VectorIndex.drop`."""
        async with self._turn:
            self.evict()
            room.left(self)

    def evict(self) -> None:
        """As `Evictable.evict`."""
        self._held = None


def _take(held: Held, added: Sequence[IndexedVector], removed: Sequence[str]) -> None:
    rows = held.rows
    gone = [row for each in removed if (row := rows.remove(each)) is not None]
    gone += [row for one in added if (row := rows.living.get(one.id)) is not None]
    new = {rows.put(one): one.vector for one in added}
    # Of an id that comes twice, only the last.
    keys = [row for row in new if rows.living[rows.ids[row]] == row]
    with held.lock:
        for row in dict.fromkeys(gone):
            held.graph.remove(row)
        if keys:
            vectors = numpy.frombuffer(b"".join(new[row] for row in keys), "<f4").reshape(len(keys), -1)
            held.graph.add(numpy.array(keys), vectors, threads=min(os.cpu_count() or 1, len(keys)))
        rows.commit()


def _found(held: Held, query: IndexQuery) -> list[tuple[str, float]]:
    rows, wanted = held.rows, numpy.frombuffer(query.vector, "<f4")
    with held.lock:
        # What stands now: what was replaced before is not in the graph any more.
        moment = rows.now()
        allowed = rows.allowed(query, moment)
        passing = int(allowed.sum())
        if not passing:
            return []
        k = query.k + MORE
        if passing <= max(FEW, 2 * k):
            return _compared(held.graph, wanted, numpy.flatnonzero(allowed), rows.ids, k)
        while True:
            # As many more as do not pass, if those that do are spread evenly.
            asked = min(k * moment.rows // passing + MORE, len(held.graph))
            matches = held.graph.search(wanted, asked)
            keys = numpy.asarray(matches.keys, numpy.int64)
            scores = 1.0 - numpy.asarray(matches.distances, numpy.float64)
            within = keys < moment.rows
            within[within] = allowed[keys[within]]
            if within.sum() >= min(k, passing) or asked >= len(held.graph):
                found = [rows.ids[key] for key in keys[within]]
                return best(scores[within], found, k)
            if asked > MANY:
                return _compared(held.graph, wanted, numpy.flatnonzero(allowed), rows.ids, k)
            k *= 4


def _compared(
    graph: Index, wanted: NDArray[Any], passing: NDArray[numpy.intp], ids: Sequence[str], k: int
) -> list[tuple[str, float]]:
    """The nearest of a few, one by one."""
    there = passing[numpy.asarray(graph.contains(passing), numpy.bool_)]
    if not len(there):
        return []
    vectors = numpy.asarray(graph.get(there, "f32"), numpy.float64)
    scores = (vectors * wanted.astype(numpy.float64)).sum(axis=1)
    return best(scores, [ids[int(row)] for row in there], k)
