"""Two processes in one conversation at once: turn stands after turn, and none is lost."""

from __future__ import annotations

import subprocess
import sys

import pytest

from miniagent_store.integrations.langchain import MiniAgentChatMessageHistory


@pytest.mark.parametrize("turns", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_a_serial_order_of_whole_turns(durable_url: str, turns: int) -> None:
    module = "tests.integrations.langchain.conversation"
    started = [
        subprocess.Popen([sys.executable, "-m", module, durable_url, "shared", name, str(turns)])
        for name in "ab"
    ]
    assert [each.wait(timeout=200) for each in started] == [0, 0]
    history = MiniAgentChatMessageHistory("shared", durable_url)
    said = [each.content for each in history.messages]
    order = said[::4]
    assert said == [each for turn in order for each in (turn, "", f"found {turn}", f"it is found {turn}")]
    for name in "ab":
        assert [turn for turn in order if turn[0] == name] == [f"{name}{n}" for n in range(1, turns + 1)]
    history.handle.close()
