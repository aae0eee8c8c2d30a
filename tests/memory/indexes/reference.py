"""What an index should find, said plainly."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from miniagent_store.backend import Backend
from miniagent_store.store.memory.filters import holds
from miniagent_store.store.memory.layout import packed
from miniagent_store.vector_index import IndexedVector, IndexPlace, IndexQuery

DIMENSIONS = 8


def place(backend: Any = None, scope: str = "memory/ada", dimensions: int = DIMENSIONS) -> IndexPlace:
    """Where an index may stand; one in the process asks no backend."""
    given: Backend = backend
    return IndexPlace(given, scope, "test", dimensions)


def vector(seed: int, dimensions: int = DIMENSIONS) -> bytes:
    """The same for the same seed."""
    dice = random.Random(seed)
    return packed([dice.gauss(0, 1) for _ in range(dimensions)])


def one(id: str, seed: int, metadata: Mapping[str, Any] | None = None, **more: Any) -> IndexedVector:
    return IndexedVector(id, vector(seed), metadata or {}, **({"time_ms": 1000} | more))


def expected(memories: Mapping[str, IndexedVector], query: IndexQuery) -> list[tuple[str, float]]:
    """Ids and cosines, the nearest first, equals by id."""
    found = [
        (each.id, _cosine(each.vector, query.vector))
        for each in memories.values()
        if (each.expires_ms is None or each.expires_ms > query.now_ms)
        and (query.after_ms is None or each.time_ms > query.after_ms)
        and (query.before_ms is None or each.time_ms < query.before_ms)
        and holds(query.filter, each.metadata)
    ]
    found.sort(key=lambda each: (-each[1], each[0]))
    return found[: query.k]


def _cosine(one: bytes, other: bytes) -> float:
    return math.fsum(a * b for a, b in zip(array("f", one), array("f", other), strict=True))


def same(found: Sequence[tuple[str, float]], wanted: Sequence[tuple[str, float]]) -> bool:
    """Whether ids are the same in order, but for those that are equally near within rounding."""
    if len(found) != len(wanted):
        return False
    near = all(abs(a[1] - b[1]) < 1e-9 for a, b in zip(found, wanted, strict=True))
    order = [each for each, _ in found] == [each for each, _ in wanted]
    return near and (
        order or sorted(round(each, 9) for _, each in found) == sorted(round(each, 9) for _, each in wanted)
    )
