"""How much longer `import miniagent_store` takes than `import asyncio`: medians of interleaved runs."""

from __future__ import annotations

import statistics
import subprocess
import sys

ROUNDS = 21
GOAL_MS = 30


def seconds(statement: str) -> float:
    code = f"import time\nstarted = time.perf_counter()\n{statement}\nprint(time.perf_counter() - started)"
    return float(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )


def main() -> None:
    statements = {
        "import asyncio": "import asyncio",
        "import asyncio, miniagent_store": "import asyncio, miniagent_store",
        "… and open_store, Message": "import asyncio\nfrom miniagent_store import Message, open_store",
    }
    times: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(ROUNDS):
        for name, statement in statements.items():
            times[name].append(seconds(statement))
    base = statistics.median(times["import asyncio"])
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"{name:40} {median * 1000:7.1f} ms   (+{(median - base) * 1000:.1f} ms)")
    print(f"goal: import miniagent_store at most {GOAL_MS} ms over import asyncio")


if __name__ == "__main__":
    main()
