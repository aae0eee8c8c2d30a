"""What a turn costs in each framework with a short and a long history, on our stores and on its own.

    python benchmarks/frameworks/run.py [FRAMEWORK ...] [--turns 60] [--record]

Contestants take turns, so that a slow moment of the machine meets all of them alike; the median of the
turns is shown, in milliseconds. Frameworks that are not installed are left out, and named. With --record
the results are kept, and the tables in docs/frameworks/ made anew.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import re
import statistics
import sys
import tempfile
import time
import uuid
from contextlib import AsyncExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# Not beside it: files here have the names of frameworks.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parents[2]))

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.frameworks.contestant import Contestant, Places, Turn
from benchmarks.recorded import server_version, write
from benchmarks.text_table import markdown_table
from miniagent_store.testing.servers import Server

SHORT, LONG = 10, 5_000
HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "frameworks.json"
DOCS = HERE.parents[1] / "docs" / "frameworks"
HEADS = ("session layer", f"{SHORT} items, ms", f"{LONG:,} items, ms", "ratio")
_TABLE = re.compile(r"<!-- cost -->\n(?:.*?<!-- /cost -->\n)?", re.DOTALL)


async def measure(contestants: list[Contestant], turns: int, progress: Any) -> dict[str, dict[str, float]]:
    """Median milliseconds of a turn by contestant and length of history."""
    times: dict[tuple[str, int], list[float]] = {}
    async with AsyncExitStack() as stack:
        running: dict[tuple[str, int], Turn] = {}
        for contestant in contestants:
            for history in (SHORT, LONG):
                key = (contestant.name, history)
                running[key] = await stack.enter_async_context(contestant.prepare(history))
                times[key] = []
                progress()
        for round_number in range(turns + 3):
            for key, turn in running.items():
                begin = time.perf_counter()
                await turn()
                # The first ones open connections and load what is loaded lazily.
                if round_number >= 3:
                    times[key].append((time.perf_counter() - begin) * 1000)
            progress()
    return {
        contestant.name: {
            str(history): statistics.median(times[contestant.name, history]) for history in (SHORT, LONG)
        }
        for contestant in contestants
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    known = sorted(
        path.stem for path in HERE.glob("*.py") if path.stem not in {"run", "contestant", "__init__"}
    )
    parser.add_argument("framework", nargs="*", help=f"of {', '.join(known)}; all by default")
    parser.add_argument("--turns", type=int, default=60, help="timed turns of each contestant")
    parser.add_argument("--record", action="store_true", help=f"write {RESULTS.relative_to(Path.cwd())}")
    options = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULTS.read_text())["frameworks"] if RESULTS.exists() else {}
    kind = ""
    console = Console()
    for name in options.framework or known:
        module = importlib.import_module(f"benchmarks.frameworks.{name}")
        try:
            release = version(module.PACKAGE)
        except PackageNotFoundError:
            console.print(f"{name}: left out, since {module.PACKAGE} is not installed")
            continue
        with tempfile.TemporaryDirectory() as folder, Server() as server, Progress(transient=True) as bar:
            kind = server_version(server)
            places = Places(
                Path(folder),
                f"sqlite:///{folder}/ours.db",
                f"{server.url}/0?namespace={uuid.uuid4().hex}",
                ("127.0.0.1", server.port),
            )
            contestants = module.contestants(places)
            task = bar.add_task(name, total=2 * len(contestants) + options.turns + 3)
            medians = asyncio.run(measure(contestants, options.turns, lambda: bar.advance(task)))  # noqa: B023
        console.print(_table(f"{module.PACKAGE} {release}", medians))
        found[name] = {"package": module.PACKAGE, "release": release, "medians": medians}
    if options.record:
        write(RESULTS, kind, {"frameworks": dict(sorted(found.items()))})
        for name, result in found.items():
            _document(DOCS / f"{name}.md", result)


def _table(title: str, medians: dict[str, dict[str, float]]) -> Table:
    table = Table(title=title)
    for column in HEADS:
        table.add_column(column, justify="left" if column == HEADS[0] else "right")
    for row in _rows(medians):
        table.add_row(*row)
    return table


def _rows(medians: dict[str, dict[str, float]]) -> list[list[str]]:
    pairs = {name: (each[str(SHORT)], each[str(LONG)]) for name, each in medians.items()}
    return [
        [name, f"{short:.2f}", f"{long:.2f}", f"{long / short:.2f}"]
        for name, (short, long) in pairs.items()
    ]


def _document(page: Path, result: dict[str, Any]) -> None:
    """Put the table where the page has a place for it."""
    if not page.exists():
        return
    about = (
        f"Median milliseconds of the store's calls in one turn, {result['package']} {result['release']}:"
    )
    table = markdown_table(HEADS, _rows(result["medians"]))
    text = f"<!-- cost -->\n{about}\n\n{table}\n<!-- /cost -->\n"
    page.write_text(_TABLE.sub(lambda _: text, page.read_text()))


if __name__ == "__main__":
    main()
