"""What there is of memories, and how far their reindexing is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reindexing:
    """New vectors for a scope.

    Attributes:
        model: whose.
        step: "reading" all memories, "following" what changed meanwhile, "removing" old vectors, or "done".
        looked: memories that were looked at.
        made: vectors that were made; of those that had one already, none is.
        removed: old vectors that were removed.
    """

    model: str
    step: str = "reading"
    looked: int = 0
    made: int = 0
    removed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """What a scope holds.

    Attributes:
        memories: how many.
        bytes: of all, their vectors included.
        model: whose vectors are in use; None where there are none.
        dimensions: of each vector.
        generation: how often all vectors were made anew.
        index: which is asked, such as "exact".
        reindexing: {"name", "dimensions", "in_use"} of the model whose vectors are being made, or, where
            they are in use, after which old ones are being removed; also where that was cut short.
    """

    memories: int
    bytes: int
    model: str | None
    dimensions: int | None
    generation: int
    index: str | None
    reindexing: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
