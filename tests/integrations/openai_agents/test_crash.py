"""Killed with -9 in the middle of a turn; a new process resumes, and has what an unhurt one has."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from miniagent_store.integrations.openai_agents import MiniAgentSession
from tests.integrations.openai_agents.conversation import resume

TURNS = 5
POINTS = [f"{where} t{turn}" for turn in range(1, TURNS + 1) for where in ("call", "tool", "answer")]
SOME = ("tool t3", "answer t2")


@pytest.mark.parametrize(
    "point", [pytest.param(each, marks=() if each in SOME else pytest.mark.slow) for each in POINTS]
)
async def test_resumed_conversation_equals_one_without_a_kill(durable_url: str, point: str) -> None:
    arguments = [durable_url, "hurt", "t", str(TURNS), point]
    module = "tests.integrations.openai_agents.conversation"
    ended = subprocess.run([sys.executable, "-m", module, *arguments], timeout=120)
    assert ended.returncode == -signal.SIGKILL

    hurt, unhurt = MiniAgentSession("hurt", durable_url), MiniAgentSession("unhurt", durable_url)
    await resume(hurt, "t", TURNS)
    await resume(unhurt, "t", TURNS)

    # Equal to the letter: this model mints no ids, and items carry no times.
    assert await hurt.get_items() == await unhurt.get_items()
    assert len(await hurt.get_items()) == 4 * TURNS
    await hurt.close()
    await unhurt.close()


@pytest.mark.slow
async def test_turn_of_a_killed_process_ends_with_its_lease(durable_url: str) -> None:
    arguments = [durable_url, "held", "t", str(TURNS), "tool t2", "exclusive"]
    module = "tests.integrations.openai_agents.conversation"
    ended = subprocess.run([sys.executable, "-m", module, *arguments], timeout=120)
    assert ended.returncode == -signal.SIGKILL

    session = MiniAgentSession("held", durable_url, exclusive=True, wait=40)
    await resume(session, "t", TURNS)
    assert len(await session.get_items()) == 4 * TURNS
    await session.close()
