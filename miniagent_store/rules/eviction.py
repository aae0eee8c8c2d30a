"""What a cache lets go when it is over its size: what has expired, then what was not used for longest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from miniagent_store.rules.rows import is_expired

K = TypeVar("K")
# Whoever looks makes some room at once, and looks again when so much was added: a cache may be over its
# size by this share of it for each process that writes.
LOOK_SHARE = 32
ROOM_SHARE = 16
# How often hits of one value are noted, at the most.
NOTE_MS = 10_000
KNOWN_HITS = 10_000


class Cached(NamedTuple):
    """What eviction knows of a cached value."""

    size: int
    used_ms: int
    expires_ms: int | None


def room_to_make(size: int, limit: int) -> int:
    """How many bytes have to go where `size` are; 0 for none."""
    return size - (limit - limit // ROOM_SHARE) if size > limit else 0


def cache_victims(found: Iterable[tuple[K, Cached]], limit: int, now_ms: int) -> list[K]:
    """What has to go."""
    entries = list(found)
    if sum(each.size for _, each in entries) <= limit:
        return []
    victims = [key for key, each in entries if is_expired(each.expires_ms, now_ms)]
    live = sorted(
        ((key, each) for key, each in entries if not is_expired(each.expires_ms, now_ms)),
        key=lambda pair: pair[1].used_ms,
    )
    excess = room_to_make(sum(each.size for _, each in live), limit)
    for key, each in live:
        if excess <= 0:
            break
        victims.append(key)
        excess -= each.size
    return victims


class Growth:
    """When to look whether a cache is over its size.

    Args:
        limit: of the size, in bytes; None for no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._added: int | None = None

    def over(self, added: int) -> int | None:
        """The limit, if it is time to look after so many bytes more; else None."""
        if self.limit is None:
            return None
        if self._added is not None:
            self._added += added
            if self._added <= self.limit // LOOK_SHARE:
                return None
        # The first time too, since nobody knows what is there.
        self._added = 0
        return self.limit


class Hits:
    """Which hits are worth noting, so that what is used is kept."""

    def __init__(self) -> None:
        self._noted: OrderedDict[str, int] = OrderedDict()

    def worth_noting(self, keys: Iterable[str], now_ms: int) -> list[str]:
        """Those keys that were not noted for a while."""
        found = [key for key in keys if self._noted.get(key, 0) + NOTE_MS <= now_ms]
        for key in found:
            self._noted[key] = now_ms
            self._noted.move_to_end(key)
        while len(self._noted) > KNOWN_HITS:
            self._noted.popitem(last=False)
        return found
