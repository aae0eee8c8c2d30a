"""One atomic step of a rate limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RateAlgorithm = Literal["fixed", "sliding", "bucket"]


@dataclass(frozen=True, slots=True)
class RateStep:
    """Count one more under `key`, if the limit allows.

    Attributes:
        algorithm: "fixed" window (counted from the first), "sliding" window (any span of one period), or
            token "bucket" (refilled evenly).
        limit: so many a period.
        cost: how many this one counts.
        burst: what a bucket holds; None for as many as `limit`.
    """

    key: str
    algorithm: RateAlgorithm
    limit: int
    period_ms: int
    cost: int = 1
    burst: int | None = None

    @property
    def capacity(self) -> int:
        """How many are allowed at once, at the most."""
        return self.limit if self.burst is None else self.burst


@dataclass(frozen=True, slots=True)
class RateResult:
    """Whether it was allowed (and counted), what remains, when to try again, and when all is free again."""

    allowed: bool
    remaining: int
    retry_after_ms: int
    reset_after_ms: int
