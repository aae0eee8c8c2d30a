"""What starting costs: medians of interleaved runs, each in a process of its own.

How much longer `import miniagent_store` takes than `import asyncio`, and how long the command takes to tell
its version and to help.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

ROUNDS = 21
IMPORT_GOAL_MS, COMMAND_GOAL_MS = 30, 350
IMPORTS = {
    "import asyncio": "import asyncio",
    "import asyncio, miniagent_store": "import asyncio, miniagent_store",
    "… and open_store, Message": "import asyncio\nfrom miniagent_store import Message, open_store",
}
COMMANDS = (
    "--version",
    "--help",
    "sessions --help",
    "sessions list --help",
    "demo --help",
    "chat --help",
    "keys --help",
    "tenants --help",
    "usage --help",
    "plugins --help",
)


def importing(statement: str) -> float:
    """Seconds that a statement takes in a new interpreter, without the interpreter's own start."""
    code = f"import time\nstarted = time.perf_counter()\n{statement}\nprint(time.perf_counter() - started)"
    return float(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )


def running(arguments: str) -> float:
    """Seconds from the start of a process of the command to its end."""
    command = [sys.executable, "-m", "miniagent_store", *arguments.split()]
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - started


def medians(calls: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Median milliseconds of each, by name."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times[name].append(call())
    return {name: statistics.median(measured) * 1000 for name, measured in times.items()}


def main() -> None:
    imports = medians({name: partial(importing, statement) for name, statement in IMPORTS.items()})
    base = imports["import asyncio"]
    for name, median in imports.items():
        print(f"{name:40} {median:7.1f} ms   (+{median - base:.1f} ms)")
    print(f"goal: import miniagent_store at most {IMPORT_GOAL_MS} ms over import asyncio")
    for name, median in medians({name: partial(running, name) for name in COMMANDS}).items():
        print(f"miniagent-store {name:24} {median:7.1f} ms")
    print(f"goal: at most {COMMAND_GOAL_MS} ms")


if __name__ == "__main__":
    main()
