"""The example runs, on a file of its own and on any store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "frameworks" / "langgraph_agent.py"


def test_the_example(durable_url: str) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), durable_url], capture_output=True, text=True, timeout=120, check=True
    )

    assert "The agent asks: May I book a table for 4?" in done.stdout
    assert "Done: a table is booked." in done.stdout
