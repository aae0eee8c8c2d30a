"""Results as values and in files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from miniagent_store.bench.figures import OURS, Figure, Result, Spread
from miniagent_store.errors import InvalidArgumentError

FIGURE = Figure(
    "operations", "redis", OURS, "append a turn", "µs", (3.0, 1.0, 2.0), (0.5, 0.75, 0.5), length=10
)
RESULT = Result(
    "quick",
    "2030-01-01T00:00:00+00:00",
    7,
    {"cores": 2},
    {"redis": "8"},
    {"redis": "Redis 7"},
    "abc",
    ("a note",),
    (FIGURE,),
)


def test_the_spread_is_the_middle_half() -> None:
    assert Spread.of((5.0, 1.0, 2.0, 3.0, 4.0)) == Spread(2.0, 3.0, 4.0)
    assert Spread.of((5.0,)) == Spread(5.0, 5.0, 5.0)


def test_a_result_survives_a_file() -> None:
    document = json.loads(json.dumps(RESULT.to_dict()))

    assert Result.from_dict(document) == RESULT
    assert document["figures"][0]["median"] == 2.0
    assert document["figures"][0]["ratio"] == 0.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 99}, "measure again"),
        ({"figures": [{"area": "x"}]}, "damaged"),
        ({"figures": [{**FIGURE.to_dict(), "samples": []}]}, "damaged"),
        ({"machine": None}, "damaged"),
    ],
)
def test_what_is_no_result_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        Result.from_dict({**RESULT.to_dict(), **change})
    with pytest.raises(InvalidArgumentError, match="--json"):
        Result.from_dict([change])
