"""The examples run, and say what they should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integrations.pydantic_ai.test_crash import KINDS

EXAMPLES = Path(__file__).parents[3] / "examples" / "frameworks"
SAYS = {
    "conversations": ("pydantic_ai_conversations.py", "ada has a fork of 8 messages, 2 requests"),
    "steps": ("pydantic_ai_steps.py", "agent: Done: seat 7 is booked."),
}


@pytest.mark.parametrize("kind", KINDS)
def test_example(kind: str, tmp_path: Path) -> None:
    file, words = SAYS[kind]
    # On one file twice: what it does may be done again.
    for _ in range(2):
        arguments = [sys.executable, str(EXAMPLES / file), f"sqlite:///{tmp_path}/store.db"]
        ran = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
        assert words in ran.stdout
        assert not ran.stderr
