"""A process that is killed in a turn, and another that goes on: as if nothing had happened.

Equal means: the same parts in the same order, with the same content, arguments and ids of tool calls, and
the same count of requests. Times and ids that each run mints are left aside.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.pydantic_ai.processes import result, start

POINTS = [f"{where} {turn}" for turn in range(1, 6) for where in ("first", "tool", "second", "saved")]
PLACES = ["sqlite", "redis", "cluster"]
BY_DEFAULT = [("redis", "tool 3"), ("sqlite", "second 2")]
ALL = [(place, point) for place in PLACES for point in POINTS]
MANY = [pytest.param(*each, marks=pytest.mark.slow) for each in ALL if each not in BY_DEFAULT]

NEEDS = {"conversations": "pydantic_ai.conversation_store", "steps": "pydantic_ai_harness"}
KINDS = [kind for kind, module in NEEDS.items() if find_spec(module) is not None]
PARTS = 5 * 4


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture(scope="module")
def unharmed(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path: Path = tmp_path_factory.mktemp("unharmed")
    return result(start("conversation", kind, f"sqlite:///{path}/unharmed.db"))


@pytest.mark.parametrize(("durable_url", "point"), [*BY_DEFAULT, *MANY], indirect=["durable_url"])
def test_a_killed_turn_is_done_again(kind: str, unharmed: Any, durable_url: str, point: str) -> None:
    assert result(start("conversation", kind, durable_url, point)) is None
    assert result(start("conversation", kind, durable_url)) == unharmed
    assert len(unharmed) == PARTS
