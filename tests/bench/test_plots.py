"""Pictures of a result."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from miniagent_store.bench.figures import BY_HAND, OURS, Figure, Result
from miniagent_store.bench.plots import check_plots, draw
from miniagent_store.errors import MissingExtraError

RESULT = Result(
    "quick",
    "2030-01-01T00:00:00+00:00",
    1,
    {"processor": "x", "cores": 2},
    {},
    {"redis": "Redis 7"},
    None,
    figures=tuple(
        Figure(
            "operations",
            "redis",
            subject,
            operation,
            "µs",
            (time, 2.0 * time),
            (ratio, ratio),
            length=length,
        )
        for subject, ratio in ((OURS, 0.5), (BY_HAND, 1.0), ("a peer", 30.0))
        for operation in ("append a turn", "last 20", "whole history")
        for length, time in ((10, 100.0), (1_000, 3_000.0))
    )
    + tuple(
        Figure("concurrency", "redis", OURS, "throughput", "turns/s", (5.0, 6.0), tasks=tasks)
        for tasks in (1, 64)
    ),
)


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_pictures_are_drawn_by_place(tmp_path: Path) -> None:
    made = draw(RESULT, tmp_path / "plots")

    assert [path.name for path in made] == ["cost-redis.png", "throughput-redis.png", "ratios-redis.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in made)


@pytest.mark.skipif(find_spec("matplotlib") is not None, reason="matplotlib is installed")
def test_without_matplotlib_the_extra_is_named() -> None:
    with pytest.raises(MissingExtraError, match=r"miniagent-store\[plot\]"):
        check_plots()
