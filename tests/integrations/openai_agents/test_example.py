"""The example runs, and says what it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "frameworks" / "openai_agents.py"


def test_example(tmp_path: Path) -> None:
    arguments = [sys.executable, "-W", "ignore", str(EXAMPLE), f"sqlite:///{tmp_path}/sessions.db"]
    ran = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert "6 items are stored" in ran.stdout
