"""An index that compares with each vector, in the process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy
from numpy.typing import NDArray

from miniagent_store.cancellation import to_the_end
from miniagent_store.indexing.nearest import nearest
from miniagent_store.indexing.room import room
from miniagent_store.indexing.rows import Moment, Rows
from miniagent_store.indexing.vectors import AT_ONCE, Precision, Vectors
from miniagent_store.vector_index import (
    IndexCapabilities,
    IndexedVector,
    IndexGone,
    IndexPlace,
    IndexQuery,
)

CAPABILITIES: dict[Precision, IndexCapabilities] = {
    "float32": IndexCapabilities(exact=True),
    "int8": IndexCapabilities(exact=False),
}
# Numbers to multiply, and vectors to take in, from which on a thread is worth its while.
IN_A_THREAD, TAKEN_IN_A_THREAD = 200_000, 32
# As many rows may be dead, or as many as are alive, before those that are alive are copied.
MOST_DEAD = 4096
# For the candidates of what is not exact.
WIDER = 2


@dataclass(frozen=True, slots=True)
class Held:
    """What an index keeps: replaced as a whole, so that it may be let go of from any thread."""

    rows: Rows
    vectors: Vectors
    upto: str | None

    @property
    def bytes(self) -> int:
        return self.rows.bytes + len(self.rows) * self.vectors.bytes_each


class ExactIndex:
    """The vectors of a scope, one after another in memory.

    Args:
        place: where; only its dimensions matter.
        precision: "int8" takes a quarter of the memory, and its candidates are a little less sure.
    """

    def __init__(self, place: IndexPlace, precision: Precision = "float32") -> None:
        self.capabilities: IndexCapabilities = CAPABILITIES[precision]
        self._dimensions = place.dimensions
        self._precision: Precision = precision
        self._turn = asyncio.Lock()
        self._held: Held | None = None

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
            held = self._held
            if anew:
                held = Held(Rows(), Vectors(self._dimensions, self._precision), upto)
            elif held is None:
                raise IndexGone
            if len(added) < TAKEN_IN_A_THREAD:
                _take(held, added, removed)
            else:
                await to_the_end(asyncio.to_thread(_take, held, added, removed))
            if held.rows.dead > max(MOST_DEAD, len(held.rows.living)):
                held = await to_the_end(asyncio.to_thread(self._without_dead, held))
            self._held = replace(held, upto=upto)
            room.used(self, held.bytes)

    def _without_dead(self, held: Held) -> Held:
        kept = Held(Rows(), Vectors(self._dimensions, self._precision), held.upto)
        for some in _standing(held, _living(held), AT_ONCE):
            _take(kept, some, ())
        return kept

    async def search(self, query: IndexQuery) -> Sequence[tuple[str, float]]:
        """As `VectorIndex.search`."""
        held = self._held
        if held is None or held.upto is None:
            raise IndexGone
        moment = held.rows.now()
        room.used(self, held.bytes)
        if held.rows.lacks_columns(query):
            async with self._turn:
                await to_the_end(asyncio.to_thread(held.rows.want_columns, query))
        if moment.rows * self._dimensions < IN_A_THREAD:
            return self._found(held, moment, query)
        return await asyncio.to_thread(self._found, held, moment, query)

    def _found(self, held: Held, moment: Moment, query: IndexQuery) -> list[tuple[str, float]]:
        k = query.k if self.capabilities.exact else WIDER * query.k
        wanted = numpy.frombuffer(query.vector, "<f4")
        allowed = numpy.flatnonzero(held.rows.allowed(query, moment))
        return nearest(held.vectors, wanted, allowed, moment.rows, held.rows.ids, k)

    async def drop(self) -> None:
        """As `VectorIndex.drop`."""
        async with self._turn:
            self.evict()
            room.left(self)

    def standing(self, size: int) -> Iterator[list[IndexedVector]]:
        """What stands now, in lists of at most `size`; whatever changes meanwhile."""
        held = self._held
        return iter(()) if held is None else _standing(held, _living(held), size)

    def __len__(self) -> int:
        held = self._held
        return 0 if held is None else len(held.rows.living)

    def evict(self) -> None:
        """As `Evictable.evict`."""
        self._held = None


def _living(held: Held) -> NDArray[numpy.intp]:
    """The rows that are alive, in order."""
    living = numpy.fromiter(held.rows.living.values(), numpy.intp, len(held.rows.living))
    living.sort()
    return living


def _standing(held: Held, living: NDArray[numpy.intp], size: int) -> Iterator[list[IndexedVector]]:
    for start in range(0, len(living), size):
        some = living[start : start + size]
        vectors = zip(some, held.vectors.take(some), strict=True)
        yield [held.rows.one(int(row), vector.tobytes()) for row, vector in vectors]


def check_sizes(added: Sequence[IndexedVector], dimensions: int) -> None:
    """See that vectors are of an index's dimensions, before any is taken.

    Raises:
        ValueError: one is not.
    """
    for one in added:
        if len(one.vector) != 4 * dimensions:
            raise ValueError(f"a vector of {dimensions} dimensions has {4 * dimensions} bytes")


def _take(held: Held, added: Sequence[IndexedVector], removed: Sequence[str]) -> None:
    for each in removed:
        held.rows.remove(each)
    for one in added:
        held.vectors.put(len(held.rows), one.vector)
        held.rows.put(one)
    held.rows.commit()
