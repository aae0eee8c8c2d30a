"""Two processes that run the same thread at once."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from langchain_core.messages import HumanMessage

from miniagent_store.integrations.langgraph import MiniAgentSaver

from .graphs import build, config_for
from .processes import start

NAMES = ("ada", "bob")


def run_both(url: str, how: str, turns: int) -> None:
    with ExitStack() as stack:
        both = [stack.enter_context(start(how, url, "thread", name, str(turns))) for name in NAMES]
        for process in both:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in both:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
    assert [process.returncode for process in both] == [0, 0]


def exclusive_turns_are_a_serial_order(url: str, turns: int) -> None:
    run_both(url, "race", turns)

    saver = MiniAgentSaver(url)
    messages = build(saver).get_state(config_for("thread")).values["messages"]
    saver.handle.close()
    assert len(messages) == 2 * turns * 4
    blocks = [messages[first : first + 4] for first in range(0, len(messages), 4)]
    assert all([message.type for message in block] == ["human", "ai", "tool", "ai"] for block in blocks)
    for name in NAMES:
        asked = [block[0].content for block in blocks if block[0].content.startswith(name)]
        assert asked == [f"{name} {number}" for number in range(turns)]


def test_exclusive_turns_are_a_serial_order(durable_url: str) -> None:
    exclusive_turns_are_a_serial_order(durable_url, 3)


@pytest.mark.slow
def test_many_exclusive_turns(durable_url: str) -> None:
    exclusive_turns_are_a_serial_order(durable_url, 40)


@pytest.mark.parametrize("turns", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_shared_writers_fork_and_mix_nothing(durable_url: str, turns: int) -> None:
    run_both(durable_url, "fork", turns)

    saver = MiniAgentSaver(durable_url)
    values = {}
    parents = {}
    for checkpoint in saver.list(config_for("thread")):
        key = checkpoint.config["configurable"]["checkpoint_id"]
        values[key] = checkpoint.checkpoint["channel_values"].get("messages", [])
        parents[key] = (checkpoint.parent_config or {}).get("configurable", {}).get("checkpoint_id")
    saver.handle.close()
    # Each checkpoint is the one that it follows, and at most one more message.
    for key, messages in values.items():
        before = values[parents[key]] if parents[key] else []
        assert messages[: len(before)] == before
        assert len(messages) <= len(before) + 1
    asked = {
        message.content for all in values.values() for message in all if isinstance(message, HumanMessage)
    }
    assert asked == {f"{name} {number}" for name in NAMES for number in range(turns)}
