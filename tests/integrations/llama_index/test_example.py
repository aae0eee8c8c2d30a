"""The example runs as it stands."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_it_runs(tmp_path: Path) -> None:
    command = [sys.executable, "examples/frameworks/llama_index_agent.py", f"sqlite:///{tmp_path}/s.db"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "8 messages stand in" in done.stdout
