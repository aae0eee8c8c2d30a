"""A small process that ends servers and removes their folders when `up` has gone, however it went.

It is told through a pipe what to clean up. The pipe's end, which comes with the death of whoever held it,
SIGKILL included, is its sign.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

PATIENCE = 5.0


class Cleaner:
    """Held open by `up`; what it was told is cleaned up once `up` has ended."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # Not reached by a terminal's Ctrl-C, nor by a kill of our group.
            start_new_session=True,
        )
        return self

    def __exit__(self, *failure: object) -> None:
        # After everything was ended here: it finds nothing to do.
        with suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process.wait()

    def process(self, pid: int) -> None:
        """A process to end, told by its pid and start, since pids are used again."""
        self._tell(f"process {pid} {started(pid)}")

    def folder(self, path: Path) -> None:
        """A folder to remove."""
        self._tell(f"folder {path}")

    def _tell(self, line: str) -> None:
        if line in self._told:
            return
        self._told.add(line)
        with suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()


def started(pid: int) -> str:
    """When a process began, as far as the system says so; empty if it has ended."""
    try:
        # The 22nd field; the second may hold blanks and brackets.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        output = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, check=False)
        return output.stdout.decode().strip().replace(" ", "_")


def main() -> None:
    """Read what to clean up until there is no one left to tell it, then do it."""
    lines = sys.stdin.read().splitlines()
    processes = [line.split(" ")[1:] for line in lines if line.startswith("process ")]
    living = [int(pid) for pid, begin in processes if begin and started(int(pid)) == begin]
    for pid in living:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + PATIENCE
    while living and time.monotonic() < until:
        living = [pid for pid in living if started(pid)]
        time.sleep(0.05)
    for pid in living:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for line in lines:
        if line.startswith("folder "):
            shutil.rmtree(line.removeprefix("folder "), ignore_errors=True)


if __name__ == "__main__":
    main()
