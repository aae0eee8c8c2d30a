"""An index that compares with each vector, in the process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from miniagent_store.store.memory.filters import holds
from miniagent_store.vector_index import IndexCapabilities, IndexedVector, IndexPlace, IndexQuery

CAPABILITIES = IndexCapabilities(exact=True)
FIRST_ROOM = 64
# Numbers to multiply from which on a thread is worth its while.
IN_A_THREAD = 500_000
NEVER = numpy.iinfo(numpy.int64).max


class ExactIndex:
    """The vectors of a scope, one after another in memory.

    Args:
        place: where; only its dimensions matter.
    """

    capabilities: IndexCapabilities = CAPABILITIES

    def __init__(self, place: IndexPlace) -> None:
        self._dimensions = place.dimensions
        self._empty()

    def _empty(self) -> None:
        self._count = 0
        self._upto: str | None = None
        self._vectors = numpy.zeros((FIRST_ROOM, self._dimensions), numpy.float32)
        self._times = numpy.zeros(FIRST_ROOM, numpy.int64)
        self._expiries = numpy.zeros(FIRST_ROOM, numpy.int64)
        self._ids: list[str] = []
        self._metadata: list[Mapping[str, Any]] = []
        self._rows: dict[str, int] = {}

    async def applied(self) -> str | None:
        """As `VectorIndex.applied`."""
        return self._upto

    async def apply(
        self,
        added: Sequence[IndexedVector],
        removed: Sequence[str],
        upto: str | None,
        *,
        anew: bool = False,
    ) -> None:
        """As `VectorIndex.apply`."""
        if anew:
            self._empty()
        for each in removed:
            self._remove(each)
        for one in added:
            self._put(one)
        self._upto = upto

    def _put(self, one: IndexedVector) -> None:
        row = self._rows.get(one.id)
        if row is None:
            row = self._count
            if row == len(self._vectors):
                self._grow()
            self._count += 1
            self._rows[one.id] = row
            self._ids.append(one.id)
            self._metadata.append(one.metadata)
        else:
            self._metadata[row] = one.metadata
        self._vectors[row] = numpy.frombuffer(one.vector, "<f4")
        self._times[row] = one.time_ms
        self._expiries[row] = NEVER if one.expires_ms is None else one.expires_ms

    def _grow(self) -> None:
        room = 2 * len(self._vectors)
        # Copies: a search in a thread may look at the old ones.
        vectors = numpy.zeros((room, self._dimensions), numpy.float32)
        vectors[: self._count] = self._vectors[: self._count]
        self._vectors = vectors
        self._times = numpy.resize(self._times, room)
        self._expiries = numpy.resize(self._expiries, room)

    def _remove(self, memory_id: str) -> None:
        row = self._rows.pop(memory_id, None)
        if row is None:
            return
        self._count -= 1
        last = self._count
        if row != last:
            # The last takes its place, so that there are no holes.
            self._vectors[row] = self._vectors[last]
            self._times[row], self._expiries[row] = self._times[last], self._expiries[last]
            self._ids[row], self._metadata[row] = self._ids[last], self._metadata[last]
            self._rows[self._ids[row]] = row
        self._ids.pop()
        self._metadata.pop()

    async def search(self, query: IndexQuery) -> Sequence[tuple[str, float]]:
        """As `VectorIndex.search`."""
        if self._count * self._dimensions < IN_A_THREAD:
            return self._found(query)
        return await asyncio.to_thread(self._found, query)

    def _found(self, query: IndexQuery) -> list[tuple[str, float]]:
        count = self._count
        scores = self._vectors[:count] @ numpy.frombuffer(query.vector, "<f4")
        allowed = self._expiries[:count] > query.now_ms
        if query.after_ms is not None:
            allowed &= self._times[:count] > query.after_ms
        if query.before_ms is not None:
            allowed &= self._times[:count] < query.before_ms
        rows = numpy.flatnonzero(allowed)
        if query.filter:
            rows = numpy.array(
                [row for row in rows if holds(query.filter, self._metadata[row])], dtype=rows.dtype
            )
        scored = scores[rows]
        if len(rows) > query.k:
            nearest = numpy.argpartition(-scored, query.k - 1)
            # All that are as near as the last, so that the order of equals does not depend on chance.
            near = scored >= scored[nearest[query.k - 1]]
            rows, scored = rows[near], scored[near]
        found = [(self._ids[row], float(score)) for row, score in zip(rows, scored, strict=True)]
        found.sort(key=lambda each: (-each[1], each[0]))
        return found[: query.k]

    async def drop(self) -> None:
        """As `VectorIndex.drop`."""
        self._empty()
