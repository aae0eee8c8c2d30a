"""A lock, a cached value or a count of a rate limit as a small document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack  # type: ignore[import-untyped]


@dataclass(frozen=True, slots=True)
class Item:
    """A named value.

    Attributes:
        due_ms: when it may be swept; None for never.
        value: bytes, or a tuple of plain values.
    """

    name: str
    due_ms: int | None
    value: Any

    def encode(self) -> bytes:
        """Its bytes."""
        return bytes(msgpack.packb((self.name, self.due_ms, self.value)))

    @classmethod
    def decode(cls, data: bytes | None) -> Item | None:
        """The item that `encode` wrote; None if there are no bytes."""
        return None if data is None else cls(*msgpack.unpackb(data, use_list=False))
