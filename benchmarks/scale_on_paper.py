"""What more shards than can be measured would carry, by what was measured on a few."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from text_table import number

# What a shard is taken to have: a core for the server's thread, and memory for data.
SHARD_GIB = 25
GIB = 2**30
SHARDS = (1, 3, 10, 30, 100, 1_000)
SESSIONS = 10**9
# Of all sessions, those in a talk at the same moment; seconds from one turn to the next.
ACTIVE, PAUSE = 0.01, 60.0

Figures = Mapping[str, Any]
CAPACITY_HEADS = [
    "shards",
    "server CPU µs a commit",
    "commits/s",
    "a shard, commits/s",
    "sessions that fit",
]
PLANET_HEADS = ["messages a session", "TiB", "shards by memory", "turns/s", "shards by CPU", "shards"]


def cpu_a_commit(scales: Sequence[Figures], alone: float, shards: int) -> float:
    """Microseconds of a server a commit.

    With more shards for the same callers fewer commits share a write, so it grows as it did where it was
    measured; but never above what a commit costs that shares its write with none.

    Args:
        scales: what was measured.
        alone: microseconds of a commit that shares its write with none.
        shards: how many.
    """
    measured = [scale["server_cpu"] for scale in scales]
    if len(scales) == 1:
        return float(measured[0])
    fit = statistics.linear_regression([scale["shards"] - 1 for scale in scales], measured)
    # A server that nobody talks to for others cannot make a commit cheaper.
    grown = fit.intercept + fit.slope * (shards - 1) if fit.slope > 0 else statistics.mean(measured)
    return min(grown, max(alone, *measured))


def commits_a_second(scales: Sequence[Figures], alone: float, shards: int) -> float:
    """Of so many shards, each with a core of its own that does nothing else."""
    return shards * 1e6 / cpu_a_commit(scales, alone, shards)


def capacity_rows(scales: Sequence[Figures], alone: float, sizes: Sequence[Figures]) -> Iterator[list[str]]:
    """What `CAPACITY_HEADS` name, a number of shards a row; sessions of 100 messages."""
    bytes_a_session = next(size["all"] for size in sizes if size["messages"] == 100)
    for shards in SHARDS:
        rate = commits_a_second(scales, alone, shards)
        yield [
            number(shards),
            number(cpu_a_commit(scales, alone, shards), 1),
            number(_round(rate)),
            number(_round(rate / shards)),
            number(_round(shards * SHARD_GIB * GIB / bytes_a_session)),
        ]


def planet_rows(scales: Sequence[Figures], alone: float, sizes: Sequence[Figures]) -> Iterator[list[str]]:
    """What `PLANET_HEADS` name, for 10⁹ sessions, a length a row."""
    turns = SESSIONS * ACTIVE / PAUSE
    for size in sizes:
        held = SESSIONS * size["all"]
        by_memory = -(-held // (SHARD_GIB * GIB))
        by_cpu = next(
            (shards for shards in range(1, 20_000) if commits_a_second(scales, alone, shards) >= turns),
            None,
        )
        yield [
            number(size["messages"]),
            number(held / 2**40, 1),
            number(by_memory),
            number(_round(turns)),
            "more than can be had" if by_cpu is None else number(by_cpu),
            "–" if by_cpu is None else number(max(by_memory, by_cpu)),
        ]


def _round(value: float) -> float:
    """Three digits are more than such numbers are good for."""
    return float(f"{value:.3g}")
