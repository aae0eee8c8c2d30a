"""Processes of their own, which are killed or run at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A module of this folder as a program."""
    command = [sys.executable, "-m", f"tests.integrations.pydantic_ai.{module}", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def result(process: subprocess.Popen[bytes]) -> Any:
    """What it printed, as JSON; None if it was killed."""
    return results(process)[0]


def results(*processes: subprocess.Popen[bytes]) -> list[Any]:
    """What each of them printed."""
    # All are waited for before any of them fails the test.
    ended = [process.communicate(timeout=180) for process in processes]
    return [_read(process, *each) for process, each in zip(processes, ended, strict=True)]


def _read(process: subprocess.Popen[bytes], out: bytes, err: bytes) -> Any:
    if process.returncode == -9:
        return None
    assert process.returncode == 0, err.decode()
    assert err == b""
    return json.loads(out)
