"""How long operations take, in memory of a fixed size."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

from miniagent_store.values import Latency

if TYPE_CHECKING:
    from miniagent_store.operation import Operation

# A bucket's bounds are 8 % apart, and its middle within 4 % of all that is in it.
GROWTH = 1.08
SHORTEST = 1e-6
BUCKETS = math.ceil(math.log(1e9) / math.log(GROWTH)) + 1
_STEP = 1 / math.log(GROWTH)
# Names of operations come from code; whoever names batches after something else must not fill memory.
MAX_NAMES = 100
OTHER = "other"


class Histogram:
    """Counts times in buckets on a logarithmic scale, from a microsecond to a quarter of an hour."""

    __slots__ = ("_buckets", "_count", "_max")

    def __init__(self) -> None:
        self._buckets = array("Q", bytes(8 * BUCKETS))
        self._count, self._max = 0, 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        bucket = int(math.log(seconds / SHORTEST) * _STEP) if seconds > SHORTEST else 0
        self._buckets[min(bucket, BUCKETS - 1)] += 1
        self._count += 1
        self._max = max(self._max, seconds)

    def quantile(self, share: float) -> float:
        """The time that this share of all took at most, within 5 %; 0 if there are none."""
        rank, seen = math.ceil(share * self._count), 0
        for bucket, count in enumerate(self._buckets):
            seen += count
            if count and seen >= rank:
                middle: float = SHORTEST * GROWTH ** (bucket + 0.5)
                return min(middle, self._max)
        return 0.0

    def latency(self) -> Latency:
        """What was counted so far."""
        return Latency(self._count, self.quantile(0.5), self.quantile(0.95), self.quantile(0.99), self._max)


class LatencyRecorder:
    """Times and retries of a store's operations, by name."""

    def __init__(self) -> None:
        self._times: dict[str, Histogram] = {}
        self._retries: dict[str, int] = {}

    def record(self, operation: Operation) -> None:
        """Take an operation that has ended."""
        name = operation.name
        times = self._times.get(name)
        if times is None:
            name = name if len(self._times) < MAX_NAMES else OTHER
            times = self._times.setdefault(name, Histogram())
        times.add(operation.seconds or 0.0)
        if operation.retries:
            self._retries[name] = self._retries.get(name, 0) + operation.retries

    def latency(self) -> dict[str, Latency]:
        """By operation."""
        return {name: times.latency() for name, times in sorted(self._times.items())}

    def retries(self) -> dict[str, int]:
        """By operation, where there were any."""
        return dict(sorted(self._retries.items()))
