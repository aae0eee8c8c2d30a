"""Which rows are nearest to a query, in an order that does not depend on chance."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

from miniagent_store.indexing.vectors import Vectors

# Where fewer rows than one in so many are asked for, only these are compared.
FEW = 4


def nearest(
    vectors: Vectors,
    query: NDArray[numpy.float32],
    rows: NDArray[numpy.intp],
    count: int,
    ids: Sequence[str],
    k: int,
) -> list[tuple[str, float]]:
    """Ids and cosines of the `k` nearest rows, the nearest first, equals by id.

    Args:
        vectors: of all rows.
        query: what to be near to.
        rows: those that may be found, rising.
        count: of all rows.
        ids: of the rows.
    """
    if k < 1 or not len(rows):
        return []
    if len(rows) > k and FEW * len(rows) > count:
        # Quickly, but for the last bits; of those that may be among the nearest, exactly.
        quick = vectors.scores(query, count)[rows]
        least = numpy.partition(quick, len(quick) - k)[len(quick) - k]
        rows = rows[quick >= least - 2 * vectors.doubt]
    return best(vectors.scores_of(query, rows), [ids[int(row)] for row in rows], k)


def best(scores: NDArray[numpy.float64], ids: Sequence[str], k: int) -> list[tuple[str, float]]:
    """The `k` with the highest scores, equals by id."""
    if len(scores) <= k:
        found = list(range(len(scores)))
    else:
        least = numpy.partition(scores, len(scores) - k)[len(scores) - k]
        found = numpy.flatnonzero(scores > least).tolist()
        # There may be very many that are as near as the last.
        last = numpy.flatnonzero(scores == least).tolist()
        found += heapq.nsmallest(k - len(found), last, key=ids.__getitem__)
    found.sort(key=lambda at: (-scores[at], ids[at]))
    return [(ids[at], float(scores[at])) for at in found]
