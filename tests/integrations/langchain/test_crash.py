"""Killed with -9 in the middle of a turn; a new process asks again, and has what an unhurt one has."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.langchain import MiniAgentChatMessageHistory
from tests.integrations.langchain.conversation import chain_on, converse

TURNS = 5
POINTS = [f"{where} t{turn}" for turn in range(1, TURNS + 1) for where in ("call", "tool", "answer")]
SOME = ("tool t3", "answer t2")


@pytest.mark.parametrize(
    "point", [pytest.param(each, marks=() if each in SOME else pytest.mark.slow) for each in POINTS]
)
def test_resumed_conversation_equals_one_without_a_kill(durable_url: str, point: str) -> None:
    module = "tests.integrations.langchain.conversation"
    arguments = [sys.executable, "-m", module, durable_url, "hurt", "t", str(TURNS), point]
    assert subprocess.run(arguments, timeout=120).returncode == -signal.SIGKILL

    handle = StoreHandle(durable_url)
    for session_id in ("hurt", "unhurt"):
        converse(chain_on(handle), handle, session_id, "t", TURNS)
    # Equal to the letter: a turn is stored whole at its end, or not at all.
    hurt, unhurt = (MiniAgentChatMessageHistory(each, handle).messages for each in ("hurt", "unhurt"))
    assert hurt == unhurt
    assert len(hurt) == 4 * TURNS
    handle.close()
