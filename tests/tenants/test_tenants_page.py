"""docs/tenants.md does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from miniagent_store.ids import MAX_NAMESPACE
from miniagent_store.store.tenants import KNOWN_TENANTS

PAGE = (Path(__file__).parents[2] / "docs" / "tenants.md").read_text()


def test_the_example_runs() -> None:
    example = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == [
        "Page(items=[], next_cursor=None, damaged=())",
        "{'session': 1} ['acme']",
        "1",
    ]


def test_its_numbers_are_those_of_the_code() -> None:
    assert f"the last {KNOWN_TENANTS:,} are remembered" in PAGE
    assert f"at most {MAX_NAMESPACE} characters" in PAGE
