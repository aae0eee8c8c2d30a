"""The examples run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
BASIC_USAGE = EXAMPLES / "basic_usage.py"


def test_basic_usage_remembers_across_runs(tmp_path: Path) -> None:
    def run() -> list[str]:
        command = [sys.executable, "-W", "error", str(BASIC_USAGE), f"sqlite:///{tmp_path / 'sessions.db'}"]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60
        ).stdout.splitlines()

    first, second = run(), run()

    assert first == [
        "You have not said anything before.",
        "You said: Hello! (message 2)",
        'You said: "Hello!"',
        "basic-usage: 6 messages",
    ]
    assert second[0] == 'You said: "What did I just say?"'
    assert second[-1] == "basic-usage: 12 messages"


def test_many_instances_answer_one_session() -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / "many_instances.py")]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    assert told.count("looks up Paris") == 1
    assert told.splitlines()[-2:] == ["24 messages", "turns alternate: True"]


def test_tools_run_once_and_are_remembered() -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / "tools.py")]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert told.count("looking up the weather") == 1
    assert told.count("I was told: ") == 3
    assert told.endswith("of Ada it is known: asks about Paris\n")


def test_a_long_conversation_fits_its_window() -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / "long_conversation.py")]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert told.startswith("Dear Ada, you said: This is turn 100.")
    assert "200 messages are stored" in told
    shown = int(told.partition("at most ")[2].split()[0])
    assert 3000 < shown <= 4000
    assert "Hello, my name is Ada." in told
