"""One look as plots show it: a few numbers at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from miniagent_store.measuring.watcher import Frame, quantiles, rate
from miniagent_store.web.measuring.storage import bytes_used, leases


@dataclass(frozen=True, slots=True)
class Point:
    """Numbers of a moment; None where they are not known.

    Attributes:
        at: seconds since 1970.
        commits, messages: a second, since the look before; messages that were removed count below zero.
        read_p50, read_p95, list_p95: milliseconds that the last looks took from here.
        memory: bytes, of servers or files.
        waiting: who waits for a turn or a lock, in all processes.
        retries: of this process since the look before.
    """

    at: float
    commits: float | None = None
    messages: float | None = None
    read_p50: float | None = None
    read_p95: float | None = None
    list_p95: float | None = None
    memory: int | None = None
    waiting: int | None = None
    retries: int | None = None


NAMES = tuple(each.name for each in fields(Point))


def point(frame: Frame, before: Frame | None, every: float) -> Point:
    """What a frame says.

    Args:
        frame: the look.
        before: the one before.
        every: seconds between them.
    """
    at = frame.now.timestamp()
    if frame.stats is None or frame.stats.problem is not None:
        return Point(at)
    reads, listings = quantiles(frame.reads) or {}, quantiles(frame.listings) or {}
    retries = None
    if before is not None and before.stats is not None:
        retries = frame.stats.retries - before.stats.retries
    return Point(
        at,
        rate(frame.commits, max(round(every), 1)),
        frame.messages,
        _ms(reads.get("p50")),
        _ms(reads.get("p95")),
        _ms(listings.get("p95")),
        bytes_used(frame.health),
        leases(frame.health).get("waiting"),
        retries,
    )


def columns(points: Sequence[Point]) -> dict[str, list[Any]]:
    """By name, as plots take them."""
    plain = [asdict(each) for each in points]
    return {name: [each[name] for each in plain] for name in NAMES}


def mean(points: Sequence[Point], name: str) -> float | None:
    """The mean of what is known of a number."""
    known = [value for each in points if (value := getattr(each, name)) is not None]
    return sum(known) / len(known) if known else None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
