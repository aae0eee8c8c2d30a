"""Embeddings of items, and how alike they are to a query: exact cosine over all candidates."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from miniagent_store.integrations.lacking import requires

with requires("langgraph-checkpoint", extra="langgraph"):
    from langgraph.store.base import (
        IndexConfig,
        Op,
        PutOp,
        SearchOp,
        ensure_embeddings,
        get_text_at_path,
        tokenize_path,
    )

try:
    import numpy
except ImportError:  # of the extra [memory]; without it the same is computed, much slower
    numpy = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

# Vectors that are compared at once: 1,500 kB of those with 384 dimensions.
AT_ONCE = 500


@dataclass
class Embedded:
    """The vectors of all texts and queries of a batch."""

    texts: dict[str, list[float]] = field(default_factory=dict)
    queries: dict[str, list[float]] = field(default_factory=dict)


class VectorIndex:
    """Which texts of an item are embedded, and by what.

    Args:
        config: LangGraph's: `embed`, and `fields` (the whole item by default). `dims` is not needed.
    """

    def __init__(self, config: IndexConfig) -> None:
        self.embeddings: Embeddings = ensure_embeddings(config.get("embed"))
        self._fields = list(config.get("fields") or ["$"])

    def texts(self, op: PutOp) -> list[str]:
        """The texts that stand for an item in searches; none if it is not to be found by them."""
        if op.value is None or op.index is False:
            return []
        fields = self._fields if op.index is None else op.index
        return [
            text
            for path in fields
            for text in get_text_at_path(dict(op.value), path if path == "$" else tokenize_path(path))
        ]

    def embed(self, ops: Iterable[Op]) -> Embedded:
        """Embed all that a batch needs, blocking."""
        texts, queries = self._wanted(ops)
        vectors = self.embeddings.embed_documents(texts) if texts else []
        asked = [self.embeddings.embed_query(query) for query in queries]
        return Embedded(dict(zip(texts, vectors, strict=True)), dict(zip(queries, asked, strict=True)))

    async def aembed(self, ops: Iterable[Op]) -> Embedded:
        """As `embed`, in the caller's loop."""
        texts, queries = self._wanted(ops)
        vectors = await self.embeddings.aembed_documents(texts) if texts else []
        asked = [await self.embeddings.aembed_query(query) for query in queries]
        return Embedded(dict(zip(texts, vectors, strict=True)), dict(zip(queries, asked, strict=True)))

    def _wanted(self, ops: Iterable[Op]) -> tuple[list[str], list[str]]:
        texts: dict[str, None] = {}
        queries: dict[str, None] = {}
        for op in ops:
            if isinstance(op, PutOp):
                texts.update(dict.fromkeys(self.texts(op)))
            elif isinstance(op, SearchOp) and op.query:
                queries[op.query] = None
        return list(texts), list(queries)


def packed(vector: Sequence[float]) -> bytes:
    """A vector as it is stored: floats of 32 bits."""
    return struct.pack(f"<{len(vector)}f", *vector)


def likenesses(query: Sequence[float], stored: Sequence[Sequence[bytes]]) -> list[float | None]:
    """The highest cosine of a query and the vectors of each item; None for one without any.

    Raises:
        ValueError: a vector has another dimension than the query.
    """
    flat = [vector for vectors in stored for vector in vectors]
    if any(len(vector) != 4 * len(query) for vector in flat):
        raise ValueError(
            f"the query has {len(query)} dimensions, and an item was embedded with others: put it again"
        )
    cosines = iter(_cosines(query, flat))
    return [max((next(cosines) for _ in vectors), default=None) for vectors in stored]


def _cosines(query: Sequence[float], vectors: Sequence[bytes]) -> list[float]:
    if numpy is None:
        length = math.hypot(*query)
        return [_cosine(query, length, vector) for vector in vectors]
    found: list[float] = []
    wanted = numpy.asarray(query, numpy.float64)
    for start in range(0, len(vectors), AT_ONCE):
        some = vectors[start : start + AT_ONCE]
        table = numpy.frombuffer(b"".join(some), "<f4").reshape(len(some), -1).astype(numpy.float64)
        lengths = numpy.linalg.norm(table, axis=1) * numpy.linalg.norm(wanted)
        lengths[lengths == 0] = numpy.inf
        found += (table @ wanted / lengths).tolist()
    return found


def _cosine(query: Sequence[float], length: float, stored: bytes) -> float:
    vector: tuple[float, ...] = struct.unpack(f"<{len(stored) // 4}f", stored)
    lengths = length * math.hypot(*vector)
    if not lengths:
        return 0.0
    return sum(a * b for a, b in zip(query, vector, strict=True)) / lengths
