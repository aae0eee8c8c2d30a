"""Killed with -9 in a turn that writes memories; a new process resumes, and remembers the same."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from miniagent_store.handle import StoreHandle
from tests.integrations.langgraph.remembering import converse, graph_on, remembered

TURNS = 5
POINTS = [f"{where} {turn}" for turn in range(1, TURNS + 1) for where in ("call", "tool", "answer")]
SOME = ("tool 3", "answer 2")


@pytest.mark.parametrize(
    "point", [pytest.param(each, marks=() if each in SOME else pytest.mark.slow) for each in POINTS]
)
def test_resumed_agent_remembers_as_one_without_a_kill(durable_url: str, point: str) -> None:
    module = "tests.integrations.langgraph.remembering"
    arguments = [sys.executable, "-m", module, durable_url, "hurt", str(TURNS), point]
    assert subprocess.run(arguments, timeout=120).returncode == -signal.SIGKILL

    handle = StoreHandle(durable_url)
    hurt, unhurt = graph_on(handle, "hurt"), graph_on(handle, "unhurt")
    converse(hurt, "hurt", TURNS)
    converse(unhurt, "unhurt", TURNS)
    # Equal to the letter, without the times of items and the ids of checkpoints.
    assert remembered(hurt, "hurt") == remembered(unhurt, "unhurt")
    said, items = remembered(hurt, "hurt")
    assert (len(said), len(items)) == (4 * TURNS, TURNS + 1)
    handle.close()
