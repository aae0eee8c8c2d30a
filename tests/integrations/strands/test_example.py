"""The example runs as it stands, and on a URL that is given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "frameworks" / "strands_agent.py"


@pytest.mark.parametrize("url", ["memory", "redis"], indirect=True)
def test_example(url: str) -> None:
    # Without an argument it makes a file; memory would forget.
    given = [] if url.startswith("memory") else [url]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE, *given],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stderr == ""
    assert "4 messages so far. And Oslo? It is sunny in Oslo." in ran.stdout
