"""The examples run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BASIC_USAGE = Path(__file__).parents[2] / "examples" / "basic_usage.py"


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
