"""The part of the docs' numbers that ``miniagent-store bench`` measures, with sizes between quick and full.

Run: ``python benchmarks/docs_bench.py [--only AREA] [--json FILE] [--plot DIR]``; areas that are measured
replace those in the file, the others stay. It takes some minutes, most of which the other packages need.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

from miniagent_store.bench.figures import Result
from miniagent_store.bench.plan import FULL
from miniagent_store.bench.plots import draw
from miniagent_store.bench.run import AREAS, measure

PLAN = replace(
    FULL,
    name="docs",
    rounds=7,
    turn_seconds=0.03,
    turn_calls=50,
    crowd_seconds=0.1,
    lengths=(10, 1_000, 10_000),
    crowds=(1, 64),
    contest_seconds=1.5,
    sessions=10_000,
    patience=2.0,
    peer_length=1_000,
    peer_crowd=64,
)


def joined(old: Result | None, new: Result) -> Result:
    """The new figures, and those of areas that were not measured again."""
    if old is None:
        return new
    measured = {each.area for each in new.figures}
    kept = tuple(each for each in old.figures if each.area not in measured)
    notes = tuple(dict.fromkeys((*old.notes, *new.notes)))
    servers = {**old.servers, **new.servers}
    return replace(new, figures=(*kept, *new.figures), notes=notes, servers=servers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=AREAS, help="measure this area; may be repeated")
    parser.add_argument("--json", type=Path, help="the file to write, or to bring up to date")
    parser.add_argument("--plot", type=Path, help="draw pictures into this folder")
    given = parser.parse_args()
    old = None
    if given.json is not None and given.json.exists() and given.only:
        old = Result.from_dict(json.loads(given.json.read_text()))
    new = asyncio.run(
        measure(PLAN, areas=given.only or AREAS, tell=lambda what: print(what, file=sys.stderr))
    )
    result = joined(old, new)
    if given.json is not None:
        given.json.write_text(json.dumps(result.to_dict(), ensure_ascii=False) + "\n")
    if given.plot is not None:
        draw(result, given.plot)


if __name__ == "__main__":
    main()
