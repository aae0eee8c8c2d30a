"""The memories of an index as rows: what is known of each but its vector.

A row is written once. A memory that is replaced gets another row, and the old one dies; so a search that
has begun goes on with what stood when it began, while changes come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from miniagent_store.indexing.columns import Columns
from miniagent_store.vector_index import IndexedVector, IndexQuery

ROOM = 64
NEVER = int(numpy.iinfo(numpy.int64).max)
# What a row takes beside its vector and its metadata's values: id, its places in lists and mappings.
ROW_BYTES = 400
VALUE_BYTES = 100


@dataclass(frozen=True, slots=True)
class Moment:
    """What stands at a moment.

    Attributes:
        rows: how many there were, dead ones included.
        change: the number of the last change.
    """

    rows: int
    change: int


class Rows:
    """Rows, in the order in which they came."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.metadata: list[Mapping[str, Any]] = []
        self.living: dict[str, int] = {}
        self.bytes: int = 0
        self._now = Moment(0, 0)
        self._columns = Columns()
        self._times = numpy.zeros(ROOM, numpy.int64)
        self._expiries = numpy.zeros(ROOM, numpy.int64)
        self._died = numpy.zeros(ROOM, numpy.int64)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dead(self) -> int:
        """How many rows are of memories that are no more, or have another row."""
        return len(self.ids) - len(self.living)

    def now(self) -> Moment:
        """What stands as of the last `commit`."""
        return self._now

    def put(self, one: IndexedVector) -> int:
        """A row for a memory; its number. Counts from the next `commit` on."""
        row = len(self.ids)
        if row == len(self._times):
            self._grow()
        self._times[row] = one.time_ms
        self._expiries[row] = NEVER if one.expires_ms is None else one.expires_ms
        self._died[row] = NEVER
        self._columns.put(row, one.metadata)
        self.metadata.append(one.metadata)
        self.remove(one.id)
        self.living[one.id] = row
        self.ids.append(one.id)
        self.bytes += ROW_BYTES + VALUE_BYTES * len(one.metadata)
        return row

    def remove(self, memory_id: str) -> int | None:
        """Have a memory's row die with the next `commit`; its number."""
        row = self.living.pop(memory_id, None)
        if row is not None:
            self._died[row] = self._now.change + 1
        return row

    def commit(self) -> None:
        """Have searches from now on see what was put and removed."""
        self._now = Moment(len(self.ids), self._now.change + 1)

    def _grow(self) -> None:
        # Copies: who looks at the old ones goes on.
        room = 2 * len(self._times)
        self._times = numpy.resize(self._times, room)
        self._expiries = numpy.resize(self._expiries, room)
        self._died = numpy.resize(self._died, room)

    def want_columns(self, query: IndexQuery) -> None:
        """Make what `allowed` needs for a filter."""
        self._columns.want(tuple(query.filter), self.metadata)

    def lacks_columns(self, query: IndexQuery) -> bool:
        """Whether `want_columns` would make any."""
        return self._columns.lacks(tuple(query.filter))

    def allowed(self, query: IndexQuery, moment: Moment) -> NDArray[numpy.bool_]:
        """Which rows of a moment a query may find."""
        count = moment.rows
        allowed = self._died[:count] > moment.change
        allowed &= self._expiries[:count] > query.now_ms
        if query.after_ms is not None:
            allowed &= self._times[:count] > query.after_ms
        if query.before_ms is not None:
            allowed &= self._times[:count] < query.before_ms
        if query.filter:
            allowed &= self._columns.allows(query.filter, count)
        return allowed

    def one(self, row: int, vector: bytes) -> IndexedVector:
        """What was put as a row."""
        expires = int(self._expiries[row])
        return IndexedVector(
            self.ids[row],
            vector,
            self.metadata[row],
            int(self._times[row]),
            None if expires == NEVER else expires,
        )
