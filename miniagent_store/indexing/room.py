"""What the indexes of a process may take of its memory, all together."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

LIMIT_BYTES = 1 << 30


class Evictable(Protocol):
    """An index in the process."""

    def evict(self) -> None:
        """Let go of all that is kept; it is filled anew when it is asked again. Called from any thread."""
        ...


class Room:
    """Has those that were used longest ago let go of what they keep, where all take more than the limit.

    One that needs more than the limit by itself has all to itself.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self.limit: int = limit
        self._lock = threading.Lock()
        # In the order of their last use.
        self._sizes: dict[weakref.ref[Evictable], int] = {}

    @property
    def bytes(self) -> int:
        """What all take."""
        with self._lock:
            return sum(list(self._sizes.values()))

    def used(self, index: Evictable, size: int) -> None:
        """An index is in use, and takes `size` bytes now."""
        evicted = []
        with self._lock:
            reference = weakref.ref(index, self._gone)
            self._sizes.pop(reference, None)
            self._sizes[reference] = size
            total = sum(list(self._sizes.values()))
            while total > self.limit and len(self._sizes) > 1:
                oldest = next(iter(self._sizes))
                total -= self._sizes.pop(oldest)
                evicted.append(oldest())
        for each in evicted:
            if each is not None:
                each.evict()

    def left(self, index: Evictable) -> None:
        """An index takes nothing any more."""
        self._gone(weakref.ref(index))

    def _gone(self, reference: weakref.ref[Evictable]) -> None:
        # No lock: an index may be collected while this thread holds it. One operation of a dict is whole.
        self._sizes.pop(reference, None)


room: Room = Room()
