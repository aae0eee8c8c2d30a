"""Write docs/faults.md from what the tests of faults have counted.

Run ``make faults``, which is::

    FAULT_REPORT=faults.jsonl python -m pytest tests/faults -m "slow or not slow"
    python benchmarks/fault_table.py faults.jsonl

A second argument says how the file was made, where that was another way. Lines of the same fault and
topology are added up; of their recoveries the longest counts.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "docs" / "faults.md"
HEAD = """\
# What was lost when things broke

Each line is a fault that was injected under writers on sessions. What the writers were told was then
compared with what is stored: *lost* is acknowledged and not there, *doubled* is there more than once,
*unknown* is what ended in an `OutcomeUnknownError` that asking again could not settle, *refused* is what
ended in another error of the store, and is not stored. *Recovery* is the longest time that a writer had to
wait, in seconds, counted from the fault.

Made by {made_by}, on {servers}.

| fault | on | acknowledged | lost | doubled | unknown | refused | recovery | |
|---|---|---:|---:|---:|---:|---:|---:|---|
"""
COUNTS = ("acknowledged", "lost", "doubled", "unknown", "errors")

Line = Mapping[str, Any]


def table(lines: Iterable[Line], made_by: str) -> str:
    """The page, from what the tests have written; `made_by` says which tests were run."""
    groups: dict[tuple[str, str], list[Line]] = defaultdict(list)
    servers: set[str] = set()
    for line in lines:
        groups[line["fault"], line["topology"]].append(line)
        servers.add(line["server"])
    rows = [row(*name, group) for name, group in sorted(groups.items(), key=lambda item: order(*item[0]))]
    *others, last = sorted(servers)
    named = f"{', '.join(others)} and {last}" if others else last
    return HEAD.format(servers=named, made_by=made_by) + "".join(rows)


def order(fault: str, topology: str) -> tuple[int, str, bool, str]:
    """By number, then by name; one server first."""
    number = re.match(r"\d+", fault)
    return int(number[0]) if number else 0, fault, topology != "standalone", topology


def row(fault: str, topology: str, group: Iterable[Line]) -> str:
    """One line of the table."""
    group = list(group)
    counts = [f"{sum(line[name] for line in group):,}" for name in COUNTS]
    times = [line["recovery"] for line in group if line["recovery"] is not None]
    recovery = f"{max(times):.1f}" if times else "–"
    notes = "; ".join(sorted({line["note"] for line in group if line["note"]}))
    return f"| {' | '.join([fault, topology, *counts, recovery, notes])} |\n"


def main() -> int:
    """Read the file that is named, and write the page."""
    if len(sys.argv) not in {2, 3}:
        print(__doc__, file=sys.stderr)
        return 2
    lines = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    if not lines:
        print("no test has written anything", file=sys.stderr)
        return 1
    TARGET.write_text(
        table(lines, sys.argv[2] if len(sys.argv) == 3 else "`make faults`"), encoding="utf-8"
    )
    print(f"{TARGET}: {len(lines)} lines of tests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
