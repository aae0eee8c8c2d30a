"""Two processes on one session at once: nothing lost, nothing torn; with `exclusive`, turn after turn."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from miniagent_store.integrations.openai_agents import MiniAgentSession


def items_of_turn(turn: str) -> list[str]:
    return [f"turn {turn}", f"call-{turn}", f"found {turn}", f"it is found {turn}"]


def told(item: dict[str, Any]) -> str:
    """What an item says, in a word."""
    if item.get("type") == "function_call":
        return str(item["call_id"])
    if item.get("type") == "function_call_output":
        return str(item["output"])
    content = item["content"]
    return str(content if isinstance(content, str) else content[0]["text"])


def both(url: str, session_id: str, turns: int, *more: str) -> None:
    module = "tests.integrations.openai_agents.conversation"
    started = [
        subprocess.Popen([sys.executable, "-m", module, url, session_id, name, str(turns), "", *more])
        for name in ("a", "b")
    ]
    assert [each.wait(timeout=200) for each in started] == [0, 0]


@pytest.mark.parametrize("turns", [3, pytest.param(40, marks=pytest.mark.slow)])
async def test_exclusive_runs_stand_one_after_the_other(durable_url: str, turns: int) -> None:
    both(durable_url, "shared", turns, "exclusive")
    session = MiniAgentSession("shared", durable_url)
    said = [told(item) for item in await session.get_items()]
    await session.close()
    order = [said[start].removeprefix("turn ") for start in range(0, len(said), 4)]
    assert said == [word for turn in order for word in items_of_turn(turn)]
    for name in ("a", "b"):
        assert [turn for turn in order if turn[0] == name] == [f"{name}{n}" for n in range(1, turns + 1)]


@pytest.mark.slow
@pytest.mark.parametrize("turns", [3, 40])
async def test_runs_that_are_not_exclusive_lose_nothing(durable_url: str, turns: int) -> None:
    both(durable_url, "open", turns)
    session = MiniAgentSession("open", durable_url)
    said = [told(item) for item in await session.get_items()]
    await session.close()
    # The items of each process in its order, whatever stands between them.
    for name in ("a", "b"):
        wanted = [word for n in range(1, turns + 1) for word in items_of_turn(f"{name}{n}")]
        mine = [word for word in said if word.removeprefix("call-").split()[-1][0] == name]
        assert mine == wanted
    assert len(said) == 8 * turns
