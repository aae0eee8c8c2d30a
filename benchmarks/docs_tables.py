"""Write the tables of docs/performance.md anew, from the results of the benchmarks.

A table stands between ``<!-- bench:NAME -->`` and ``<!-- /bench -->``; what is between them is replaced.

Run: ``python benchmarks/docs_tables.py`` writes them from the files in benchmarks/results;
``--measure`` runs the benchmarks first, which takes about ten minutes, and makes the plots in docs/images.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench_tables
import cluster_scale
import scale_on_paper
import server_cost
import session_memory
import tuning
from text_table import markdown_table, number

from miniagent_store.bench.figures import Result

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "performance.md"
IMAGES = PAGE.parent / "images"
_BLOCK = re.compile(r"(<!-- bench:(\S+) -->\n).*?(<!-- /bench -->)", re.DOTALL)


def commands() -> list[list[str]]:
    """What makes the results."""
    names = ("server_cost", "session_memory", "cluster_scale", "tuning", "docs_bench")
    made = [[str(HERE / f"{name}.py"), "--json", str(RESULTS / f"{name}.json")] for name in names]
    made[-1] += ["--plot", str(IMAGES)]
    return made


def tables() -> dict[str, Callable[[], str]]:
    """All tables, by name; each reads the results that it needs."""

    def bench(make: Callable[[Result], str]) -> Callable[[], str]:
        return lambda: make(Result.from_dict(_result("docs_bench")))

    return {
        **{name: bench(make) for name, make in bench_tables.TABLES.items()},
        "costs": lambda: markdown_table(
            server_cost.HEADS, server_cost.rows(_result("server_cost")["calls"])
        ),
        "costs-about": lambda: _about("server_cost"),
        "message-memory": _message_memory,
        "session-memory": lambda: markdown_table(
            session_memory.HEADS, list(session_memory.rows(_result("session_memory")["sizes"]))
        ),
        "scale": lambda: markdown_table(
            cluster_scale.HEADS, list(cluster_scale.rows(_result("cluster_scale")["scales"]))
        ),
        "scale-about": lambda: _about("cluster_scale"),
        "capacity": lambda: markdown_table(
            scale_on_paper.CAPACITY_HEADS, list(scale_on_paper.capacity_rows(*_scales_and_sizes()))
        ),
        "tuning": lambda: markdown_table(tuning.HEADS, list(tuning.rows(_result("tuning")["settings"]))),
        "planet": lambda: markdown_table(
            scale_on_paper.PLANET_HEADS, list(scale_on_paper.planet_rows(*_scales_and_sizes()))
        ),
    }


def _result(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text())


def _scales_and_sizes() -> tuple[Any, float, Any]:
    alone = _result("server_cost")["calls"]["append a turn, one caller"]["cpu"]
    return _result("cluster_scale")["scales"], alone, _result("session_memory")["sizes"]


def _about(name: str) -> str:
    told = _result(name)
    machine = told["machine"]
    return (
        f"`python benchmarks/{name}.py` of {told['date'][:10]}: {machine['processor']}, "
        f"{machine['cores']} cores, {machine['python']}, {told['server']}."
    )


def _message_memory() -> str:
    held = _result("server_cost")["memory"]
    return (
        f"At {number(held['messages'])} messages of {number(held['payload'])} B a message takes "
        f"{number(held['ours'], 1)} B beyond its payload, in {held['keys']:.0f} keys; in a plain list of "
        f"JSON texts {number(held['floor'], 1)} B."
    )


def rewrite(text: str) -> tuple[str, list[str]]:
    """The page with its tables anew, and the names of those whose results are missing."""
    known, missing = tables(), []

    def block(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        try:
            return f"{begin}{known[name]()}\n{end}"
        except FileNotFoundError:
            missing.append(name)
            return match[0]

    return _BLOCK.sub(block, text), missing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true", help="run the benchmarks first")
    parser.add_argument("--check", action="store_true", help="only say whether the page is up to date")
    given = parser.parse_args()
    if given.measure:
        RESULTS.mkdir(exist_ok=True)
        for command in commands():
            subprocess.run([sys.executable, *command], check=True)
    before = PAGE.read_text()
    text, missing = rewrite(before)
    if given.check:
        return 1 if missing or text != before else 0
    PAGE.write_text(text)
    for name in missing:
        print(f"no result for the table {name}; run with --measure", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
