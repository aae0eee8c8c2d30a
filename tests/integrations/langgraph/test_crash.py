"""A process that is killed within a turn: another goes on, and the thread ends as if nothing had happened.

"As if nothing had happened": the messages are the same, with all their fields, and no task is left to do.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from miniagent_store.integrations.langgraph import MiniAgentSaver

from .graphs import build, config_for, plain, run_turns
from .processes import run

ALL = [f"{'tool' if n % 4 == 2 else 'model'} {n}" for n in range(1, 20) if n % 4]


def killed_and_resumed(url: str, point: str, folder: Path) -> None:
    uncut = build(InMemorySaver())
    run_turns(uncut, "thread")
    arguments = ("crash", url, "thread", point, str(folder / "marker"))

    assert run(*arguments) == -signal.SIGKILL
    assert run(*arguments) == 0

    saver = MiniAgentSaver(url)
    state = build(saver).get_state(config_for("thread"))
    saver.handle.close()
    expected = uncut.get_state(config_for("thread"))
    assert plain(state.values["messages"]) == plain(expected.values["messages"])
    assert state.tasks == ()


def test_killed_within_a_turn(durable_url: str, tmp_path: Path) -> None:
    point = "tool 10" if durable_url.startswith("sqlite") else "model 11"
    killed_and_resumed(durable_url, point, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("point", ALL)
def test_killed_at_every_point(durable_url: str, point: str, tmp_path: Path) -> None:
    killed_and_resumed(durable_url, point, tmp_path)
