"""The contract of what makes vectors of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

Vector = Sequence[float]


@runtime_checkable
class Embedder(Protocol):
    """Makes vectors of texts, so that likeness of meaning is nearness.

    One with an attribute ``cached = True`` is not asked twice for the same text: what it gave is kept in
    the store's cache for a day.

    Attributes:
        name: of the model, with all that changes its vectors: "openai:text-embedding-3-small". It stands in
            each index; one of another name is refused there.
        dimensions: of each vector; None while it is not known before the first text.
    """

    name: str
    dimensions: int | None

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Sequence[Vector]:
        """A vector for each text, in order.

        Args:
            texts: at least one.
            query: whether they are asked for, and not what is remembered; some models tell them apart.

        Raises:
            EmbeddingError: it cannot be done; nothing is stored then.
        """
        ...
