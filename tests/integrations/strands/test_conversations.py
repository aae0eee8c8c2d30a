"""Conversations in processes of their own: killed and resumed, and two at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.integrations.strands.conversation import POINTS, TURNS, agent, plain

MANAGERS = ["message", "invocation", "repository"]
slow = pytest.mark.slow


def start(module: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", f"tests.integrations.strands.{module}"]
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, *map(str, arguments)], stdout=pipe, stderr=pipe, text=True)


def finish(process: subprocess.Popen[str]) -> Any:
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(out)


def killed(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, errors[-3000:]


def expected() -> dict[str, Any]:
    """What five turns store that nothing cuts short: `test_whole` holds it against them."""
    messages: list[dict[str, Any]] = []
    for turn in range(TURNS):
        city, use = f"City{turn}", f"use-{4 * turn + 1}"
        sunny = f"It is sunny in {city}"
        call = {"toolUse": {"toolUseId": use, "name": "weather", "input": {"city": city}}}
        result = {"toolUseId": use, "status": "success", "content": [{"text": sunny}]}
        messages += [
            {"role": "user", "content": [{"text": f"How is it in {city}"}]},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [{"toolResult": result}]},
            {"role": "assistant", "content": [{"text": f"{sunny} ({4 * turn + 3} messages so far)"}]},
        ]
    return {"messages": messages, "state": {"visited": [f"City{turn}" for turn in range(TURNS)]}}


def test_whole(url: str) -> None:
    """Five turns in one process, each place."""
    guide = agent("repository", url)
    for turn in range(TURNS):
        guide(f"How is it in City{turn}")
    assert plain(agent("repository", url)) == expected()


@pytest.mark.parametrize(("kind", "kill_at"), [("message", 5), ("repository", 6)])
def test_killed_and_resumed(kind: str, kill_at: int, tmp_path: Any) -> None:
    """In a tool, and in the model call after it, of the second turn."""
    check_killed_and_resumed(f"sqlite:///{tmp_path}/killed.db?deadline=20s", kind, kill_at)


@slow
@pytest.mark.parametrize("kind", MANAGERS)
@pytest.mark.parametrize("kill_at", range(1, POINTS + 1))
def test_killed_anywhere_and_resumed(kind: str, kill_at: int, durable_url: str) -> None:
    check_killed_and_resumed(durable_url, kind, kill_at)


def check_killed_and_resumed(url: str, kind: str, kill_at: int) -> None:
    killed(start("conversation", kind, url, kill_at))
    assert finish(start("conversation", kind, url)) == expected()


@pytest.mark.parametrize("kind", ["invocation", "repository"])
@pytest.mark.parametrize("durable_url", ["redis"], indirect=True)
def test_two_processes_at_once(kind: str, durable_url: str) -> None:
    check_two_processes(kind, 2, durable_url)


@slow
@pytest.mark.parametrize("kind", ["invocation", "repository"])
def test_two_processes_many_times(kind: str, durable_url: str) -> None:
    check_two_processes(kind, 25, durable_url)


def check_two_processes(kind: str, rounds: int, durable_url: str) -> None:
    rivals = [start("rivals", kind, durable_url, name, rounds) for name in ("North", "South")]
    results = [finish(rival) for rival in rivals]

    found = [
        {"role": each["role"], "content": each["content"]} for each in agent(kind, durable_url).messages
    ]
    begun = [each["content"][-1].get("text") for each in found]
    for result in results:
        places = [begun.index(text) for text in result["ended"]]
        assert places == sorted(places), "the turns of one process stand in their order"
        for text, at in zip(result["ended"], places, strict=True):
            city = text.split()[-1]
            sunny = f"It is sunny in {city}"
            assert begun.count(text) == 1
            assert found[at + 1]["content"][0]["toolUse"]["input"] == {"city": city}
            assert found[at + 2]["content"][0]["toolResult"]["content"] == [
                {"text": f"It is sunny in {city}"}
            ]
            assert found[at + 3]["content"][0]["text"].startswith(sunny)
    if kind == "invocation":
        # What was refused left nothing. A repository gets message by message: it may have left a beginning.
        assert len(found) == 2 * rounds * 4
