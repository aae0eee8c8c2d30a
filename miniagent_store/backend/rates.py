"""One atomic step of a rate limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class RateStep:
    """Count one more under `key`, if the limit allows.

    Attributes:
        algorithm: "fixed" window (counted from the first), "sliding" window (two windows, weighted), or
            token "bucket" (refilled evenly).
        limit: so many a period.
        cost: how many this one counts.
    """

    key: str
    algorithm: Literal["fixed", "sliding", "bucket"]
    limit: int
    period_ms: int
    cost: int = 1


@dataclass(frozen=True, slots=True)
class RateResult:
    """Whether it was allowed (and counted), what remains, and when to try again."""

    allowed: bool
    remaining: int
    retry_after_ms: int
