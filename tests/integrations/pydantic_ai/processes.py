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
    out, err = process.communicate(timeout=120)
    if process.returncode == -9:
        return None
    assert process.returncode == 0, err.decode()
    assert err == b""
    return json.loads(out)
