"""LangGraph's own tests of its runner, with its savers in memory replaced by ours."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.integrations.upstream import fetch_sdist

HERE = Path(__file__).parent
FILES = (
    "test_delta_channel*.py",
    "test_interrupt*.py",
    "test_large_cases*.py",
    "test_pregel*.py",
    "test_subgraph_persistence*.py",
    "test_time_travel*.py",
)
FEW = ("test_delta_channel_fork.py", "test_time_travel.py")
# By id: why it cannot pass.
LEFT_OUT: dict[str, str] = {}

needs_their_plugins = pytest.mark.skipif(
    not (find_spec("syrupy") and find_spec("pytest_mock")), reason="their tests need syrupy and pytest-mock"
)


def run_theirs(url: str, patterns: tuple[str, ...]) -> None:
    folder = fetch_sdist("langgraph")
    files = sorted(
        str(path.relative_to(folder)) for each in patterns for path in folder.glob(f"tests/{each}")
    )
    left_out = [part for each in LEFT_OUT for part in ("--deselect", each)]
    plain = ["-o", "addopts=", "-o", "filterwarnings=", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "on_ours", *plain, *left_out, *files]
    paths = [str(HERE), str(HERE.parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "STORE_URL": url, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [*command, "--timeout", "120"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=3000,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


@needs_their_plugins
def test_a_few(tmp_path: Path) -> None:
    run_theirs("memory://theirs", FEW)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@needs_their_plugins
def test_all(url: str) -> None:
    run_theirs(url, FILES)
