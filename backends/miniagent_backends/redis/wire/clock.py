"""The servers' clock as it is known here; no step of this machine's clock moves it."""

from __future__ import annotations

import time
from statistics import median_low


class ServerClock:
    """Keeps how far each server's clock is from this machine's monotonic one; asks nobody."""

    def __init__(self) -> None:
        # Until a server has told its own: this machine's.
        self._offset_ms = (time.time_ns() - time.monotonic_ns()) // 1_000_000
        self._offsets: dict[str, int] = {}

    def now_ms(self) -> int:
        """Milliseconds since 1970 by the servers' clocks; by the middle one where they differ."""
        return time.monotonic_ns() // 1_000_000 + self._offset_ms

    def learn(self, server: str, seconds: int, microseconds: int) -> None:
        """Take in a reply to TIME."""
        told_ms = seconds * 1000 + microseconds // 1000
        self._offsets[server] = told_ms - time.monotonic_ns() // 1_000_000
        self._offset_ms = median_low(self._offsets.values())
