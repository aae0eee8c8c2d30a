"""The example runs, and says what it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "frameworks" / "langchain_history.py"


def test_example(tmp_path: Path) -> None:
    # On a file of its own twice: what it does may be done again.
    for _ in range(2):
        arguments = [sys.executable, "-W", "ignore", str(EXAMPLE), f"sqlite:///{tmp_path}/sessions.db"]
        ran = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
        assert "4 messages are stored" in ran.stdout
