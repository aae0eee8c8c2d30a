"""Conversations and workflows in processes of their own: killed and resumed, and two at once."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from miniagent_store.integrations.agent_framework import (
    MiniAgentCheckpointStorage,
    MiniAgentHistoryProvider,
    MiniAgentSessionStore,
)
from tests.integrations.agent_framework.conversation import (
    POINTS,
    STEPS,
    TURNS,
    history,
    plain,
    session,
    workflow,
)

slow = pytest.mark.slow


def start(module: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"tests.integrations.agent_framework.{module}"]
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, *map(str, arguments)], stdout=pipe, stderr=pipe, text=True)


def finish(process: subprocess.Popen[str]) -> Any:
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(out)


def killed(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, errors[-3000:]


def turn(city: str, before: int) -> list[Any]:
    """What one turn stores where so many messages stand before it."""
    sunny = f"It is sunny in {city}"
    return [
        ["user", [f"How is it in {city}"]],
        ["assistant", [{"city": city}]],
        ["tool", [sunny]],
        ["assistant", [f"{sunny} ({before + 3} messages so far)"]],
    ]


def expected(what: str) -> Any:
    """What is stored where nothing cuts short: `test_whole` holds it against that."""
    if what != "workflow":
        return [message for number in range(TURNS) for message in turn(f"City{number}", 4 * number)]
    done = [f"{('one', 'other')[step % 2]}{step} with {step // 2 + 1}" for step in range(STEPS)]
    seen = [{"one": {"seen": (step + 1) // 2}, "other": {"seen": step // 2}} for step in range(STEPS + 1)]
    return [[done], [[step, state] for step, state in enumerate(seen)]]


@pytest.mark.parametrize("run", [history, session, workflow], ids=lambda run: run.__name__)
async def test_whole(run: Any, url: str) -> None:
    assert json.loads(json.dumps(await run(url, None))) == expected(run.__name__)


@pytest.mark.parametrize(("what", "kill_at"), [("history", 5), ("session", 6), ("workflow", 5)])
def test_killed_and_resumed(what: str, kill_at: int, tmp_path: Any) -> None:
    """In a tool, and in the model call after it, of the second turn; in the fifth step."""
    check_killed_and_resumed(f"sqlite:///{tmp_path}/killed.db?deadline=20s", what, kill_at)


@slow
@pytest.mark.parametrize(
    ("what", "kill_at"),
    [(what, at) for what in ("history", "session") for at in range(1, POINTS + 1)]
    + [("workflow", at) for at in range(1, STEPS + 1)],
)
def test_killed_anywhere_and_resumed(what: str, kill_at: int, durable_url: str) -> None:
    check_killed_and_resumed(durable_url, what, kill_at)


def check_killed_and_resumed(url: str, what: str, kill_at: int) -> None:
    killed(start("conversation", what, url, kill_at))
    assert finish(start("conversation", what, url)) == expected(what)


@pytest.mark.parametrize("what", ["history", "session"])
@pytest.mark.parametrize("durable_url", ["redis"], indirect=True)
def test_two_processes_at_once(what: str, durable_url: str) -> None:
    check_two_processes(what, 3, durable_url)


@slow
@pytest.mark.parametrize("what", ["history", "session"])
def test_two_processes_many_times(what: str, durable_url: str) -> None:
    check_two_processes(what, 60, durable_url)


def check_two_processes(what: str, rounds: int, durable_url: str) -> None:
    rivals = [start("rivals", what, durable_url, name, rounds) for name in ("North", "South")]
    results = [finish(rival) for rival in rivals]

    found = asyncio.run(stored(what, durable_url))
    begun = [each[1][0] for each in found]
    for result in results:
        places = [begun.index(text) for text in result["ended"]]
        assert places == sorted(places), "the turns of one process stand in their order"
        for text, at in zip(result["ended"], places, strict=True):
            city = text.split()[-1]
            assert found[at : at + 3] == turn(city, 0)[:3]
            assert found[at + 3][1][0].startswith(f"It is sunny in {city} (")
    assert len(found) == 2 * rounds * 4


async def stored(what: str, url: str) -> list[Any]:
    if what == "history":
        return plain(await MiniAgentHistoryProvider(url).get_messages("trip"))
    found = await MiniAgentSessionStore(url).get("trip")
    assert found is not None
    return plain(found.state["in_memory"]["messages"])


@pytest.mark.parametrize("durable_url", ["redis"], indirect=True)
async def test_two_workflows_at_once(durable_url: str) -> None:
    await check_two_workflows(1, durable_url)


@slow
async def test_two_workflows_many_times(durable_url: str) -> None:
    await check_two_workflows(20, durable_url)


async def check_two_workflows(rounds: int, durable_url: str) -> None:
    rivals = [start("rivals", "workflow", durable_url, name, rounds) for name in ("North", "South")]
    for rival in rivals:
        await asyncio.to_thread(finish, rival)
    storage = MiniAgentCheckpointStorage(durable_url, scope="trip")
    found = {each.checkpoint_id: each for each in await storage.list_checkpoints(workflow_name="counting")}
    assert len(found) == 2 * rounds * (STEPS + 1)
    # Each chain stands whole, from its first checkpoint to its last.
    chains = [each for each in found.values() if each.iteration_count == STEPS]
    assert len(chains) == 2 * rounds
    for last in chains:
        at, length = last, 1
        while at.previous_checkpoint_id is not None:
            at, length = found[at.previous_checkpoint_id], length + 1
        assert length == STEPS + 1
