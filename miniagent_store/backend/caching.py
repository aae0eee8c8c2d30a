"""A value to be cached."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheItem:
    """A value under its key.

    Attributes:
        ttl_ms: how long it may be kept; None for no end.
        tags: what it can be cleared by, besides what its key starts with.
    """

    key: str
    value: bytes
    ttl_ms: int | None = None
    tags: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """What counts against the size of a cache: bytes of key and value."""
        return len(self.key.encode()) + len(self.value)
