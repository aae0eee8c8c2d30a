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


def cpu_by_shards(scales: Sequence[Figures]) -> tuple[float, float]:
    """Microseconds of all servers a commit: on one shard, and more for each further shard."""
    if len(scales) == 1:
        return scales[0]["server_cpu"], 0.0
    fit = statistics.linear_regression(
        [scale["shards"] - 1 for scale in scales], [scale["server_cpu"] for scale in scales]
    )
    # A server that nobody talks to for others cannot make a commit cheaper.
    if fit.slope <= 0:
        return statistics.mean(scale["server_cpu"] for scale in scales), 0.0
    return fit.intercept, fit.slope


def commits_a_second(scales: Sequence[Figures], shards: int) -> float:
    """Of so many shards, each with a core of its own that does nothing else."""
    first, further = cpu_by_shards(scales)
    return shards * 1e6 / (first + further * (shards - 1))


def capacity_rows(scales: Sequence[Figures], sizes: Sequence[Figures]) -> Iterator[list[str]]:
    """What `CAPACITY_HEADS` name, a number of shards a row; sessions of 100 messages."""
    bytes_a_session = next(size["all"] for size in sizes if size["messages"] == 100)
    first, further = cpu_by_shards(scales)
    for shards in SHARDS:
        rate = commits_a_second(scales, shards)
        yield [
            number(shards),
            number(first + further * (shards - 1), 1),
            number(_round(rate)),
            number(_round(rate / shards)),
            number(_round(shards * SHARD_GIB * GIB / bytes_a_session)),
        ]


def planet_rows(scales: Sequence[Figures], sizes: Sequence[Figures]) -> Iterator[list[str]]:
    """What `PLANET_HEADS` name, for 10⁹ sessions, a length a row."""
    turns = SESSIONS * ACTIVE / PAUSE
    for size in sizes:
        held = SESSIONS * size["all"]
        by_memory = -(-held // (SHARD_GIB * GIB))
        by_cpu = next(
            (shards for shards in range(1, 20_000) if commits_a_second(scales, shards) >= turns), None
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
