"""Vectors one after another in memory, in blocks, so that none is ever copied to make room."""

from __future__ import annotations

from typing import Any, Literal

import numpy
from numpy.typing import NDArray

Precision = Literal["float32", "int8"]
# Bytes of a block's vectors as float32: what is compared at once fits into a processor's cache.
BLOCK_BYTES = 1 << 20
# Rows whose nearness is computed exactly at once.
AT_ONCE = 4096
_LARGEST = 127
# Row by row where NumPy can (2.0): a product of matrices is shared out among as many threads as there are
# processors, which wait for each other, and that takes many times as long where others are at work there.
_products: Any = getattr(numpy, "vecdot", numpy.matmul)


class Vectors:
    """Vectors by row.

    Args:
        dimensions: of each.
        precision: "int8" takes a quarter of the memory, and has a scale for each vector.
    """

    def __init__(self, dimensions: int, precision: Precision) -> None:
        self._dimensions, self._is_int8 = dimensions, precision == "int8"
        self._type = numpy.int8 if self._is_int8 else numpy.float32
        self._block = max(BLOCK_BYTES // (4 * max(dimensions, 1)), 64)
        self._blocks: list[NDArray[Any]] = []
        self._scales: list[NDArray[numpy.float32]] = []
        self.bytes_each: int = dimensions * (1 if self._is_int8 else 4) + (4 if self._is_int8 else 0)

    @property
    def doubt(self) -> float:
        """By how much `scores` may be off."""
        # A float32 product of unit vectors, in whatever order it is summed up (Higham 2002, §3.1).
        return self._dimensions * float(numpy.finfo(numpy.float32).eps)

    def put(self, row: int, packed: bytes) -> None:
        """Write a row: the next one, or one again."""
        block, place = divmod(row, self._block)
        if block == len(self._blocks):
            self._blocks.append(numpy.zeros((self._block, self._dimensions), self._type))
            self._scales.append(numpy.ones(self._block, numpy.float32))
        vector = numpy.frombuffer(packed, "<f4")
        if self._is_int8:
            scale = float(numpy.abs(vector).max(initial=0.0)) / _LARGEST or 1.0
            self._scales[block][place] = scale
            vector = numpy.rint(vector / scale)
        self._blocks[block][place] = vector

    def scores(self, query: NDArray[numpy.float32], count: int) -> NDArray[numpy.float32]:
        """The products of a query with the first `count` rows, but for `doubt`."""
        scores = numpy.empty(count, numpy.float32)
        for number, start in enumerate(range(0, count, self._block)):
            size = min(self._block, count - start)
            block = self._blocks[number][:size]
            into = scores[start : start + size]
            if self._is_int8:
                _products(block.astype(numpy.float32), query, out=into)
                into *= self._scales[number][:size]
            else:
                _products(block, query, out=into)
        return scores

    def scores_of(self, query: NDArray[numpy.float32], rows: NDArray[numpy.intp]) -> NDArray[numpy.float64]:
        """The products of a query with some rows; those of equal vectors are equal to the last bit."""
        exact, scores = query.astype(numpy.float64), numpy.empty(len(rows))
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            scores[start : start + AT_ONCE] = (self.take(some).astype(numpy.float64) * exact).sum(axis=1)
        return scores

    def take(self, rows: NDArray[numpy.intp]) -> NDArray[numpy.float32]:
        """A copy of some rows, in order of their numbers."""
        taken = numpy.empty((len(rows), self._dimensions), numpy.float32)
        places, starts = numpy.divmod(rows, self._block)
        for number in numpy.unique(places):
            within = places == number
            found = self._blocks[number][starts[within]]
            if self._is_int8:
                taken[within] = found * self._scales[number][starts[within], None]
            else:
                taken[within] = found
        return taken
