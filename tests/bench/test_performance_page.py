"""The numbers of docs/performance.md are those of the results beside the benchmarks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tables_are_those_of_the_results() -> None:
    """``python benchmarks/docs_tables.py`` writes them."""
    run = subprocess.run([sys.executable, ROOT / "benchmarks" / "docs_tables.py", "--check"], timeout=60)
    assert run.returncode == 0
