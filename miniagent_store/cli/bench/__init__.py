"""``miniagent-store bench``: what a store costs here, measured."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from miniagent_store.cli.output import emit_json, plain, printable
from miniagent_store.cli.settings import current, store_options
from miniagent_store.errors import InvalidArgumentError, StoreError

if TYPE_CHECKING:
    from miniagent_store.bench.compare import Comparison
    from miniagent_store.bench.figures import Result

STDOUT = "-"
# As in `miniagent_store.bench.run.AREAS`, which is not imported only to show help.
AREAS = (
    "serializers",
    "start-up",
    "memory",
    "operations",
    "concurrency",
    "coordination",
    "four writers",
)


@click.command(
    "bench",
    short_help="Measure what a store costs here.",
    epilog="""\b
Examples:
  miniagent-store bench --quick                       in less than a minute
  miniagent-store bench --json new.json --plot plots  everything, in a quarter of an hour or more
  miniagent-store bench --compare old.json --quick    what got slower since
  miniagent-store bench --store redis://localhost:6379/0
  miniagent-store bench --only operations --only concurrency

\b
Without a store it measures memory, a temporary SQLite file, and a Redis that it starts where a server
is installed, beside hand-written code and the other packages that are installed. With one it measures
that store alone, and changes nothing of yours: on Redis all is in a namespace of a random name which is
removed at the end, also after Ctrl-C; on SQLite in a file of its own in the same folder.

\b
How to read it: all that is compared takes turns in the same rounds. "1.20 ±0.05" is the median of the
rounds' ratios to hand-written code, and half of what their middle half spans; below 1 is faster.
Hand-written: on Redis orjson and one pipeline of RPUSH and EXPIRE, on SQLite one transaction a turn.
Let the machine do nothing else meanwhile.

\b
Exit codes: 0 done, 1 failed, or --compare found something slower; 2 misused, 130 interrupted.""",
)
@click.option("--quick", is_flag=True, help="Less of everything: under a minute.")
@click.option(
    "--json",
    "target",
    metavar="[FILE]",
    is_flag=False,
    flag_value=STDOUT,
    help="Write the whole result to a file; without one on stdout, instead of tables.",
)
@click.option("--plot", "folder", metavar="DIR", help="Draw pictures (PNG) into a folder.")
@click.option("--compare", "earlier", metavar="FILE", help="Say what got slower since this result.")
@click.option(
    "--only",
    "areas",
    metavar="AREA",
    type=click.Choice(AREAS),
    multiple=True,
    help=f"Measure this only; may be given again. One of: {', '.join(AREAS)}.",
)
@store_options()
@click.pass_context
def command(
    ctx: click.Context,
    quick: bool,
    target: str | None,
    folder: str | None,
    earlier: str | None,
    areas: tuple[str, ...],
) -> None:
    """Measure appends, reads, locks, events, memory and start-up, beside hand-written code."""
    # What cannot be done is said before anything is measured.
    old = _read(Path(earlier)) if earlier is not None else None
    _check_targets(target, folder)
    result = _measure(quick, areas or AREAS)
    comparison = _compare(old, result)
    document = {
        **result.to_dict(),
        **({"comparison": comparison.to_dict()} if comparison is not None else {}),
    }
    if target == STDOUT:
        emit_json(document)
    else:
        _show(result, comparison)
        if target is not None:
            _write(Path(target), document)
    if folder is not None:
        _draw(result, Path(folder))
    if comparison is not None and comparison.worse:
        ctx.exit(1)


def _check_targets(target: str | None, folder: str | None) -> None:
    if target not in {None, STDOUT} and not (parent := Path(str(target)).resolve().parent).is_dir():
        raise InvalidArgumentError(f"--json: there is no folder {parent}; make it first")
    if folder is not None:
        from miniagent_store.bench.plots import check_plots

        check_plots()
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise InvalidArgumentError(f"--plot: cannot make {folder}: {problem.strerror}") from problem


def _measure(quick: bool, areas: Sequence[str]) -> Result:
    from miniagent_store.bench import plan
    from miniagent_store.bench.run import measure, steps
    from miniagent_store.cli.bench.progress import progress
    from miniagent_store.url import StoreURL

    url = current().url
    size = plan.QUICK if quick else plan.FULL
    if url is not None:
        shown = StoreURL.parse(url)
        click.echo(f"measuring {shown}, apart from all that is yours; removed at the end", err=True)

    async def work(tell: Callable[[str], None]) -> Result:
        task = asyncio.current_task()
        assert task is not None
        # What was made in somebody's store is removed then too.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await measure(size, url=url, areas=areas, tell=tell)

    with progress(steps(size, guest=url is not None, areas=areas)) as tell:
        try:
            return asyncio.run(work(tell))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


def _read(path: Path) -> Result:
    from miniagent_store.bench.figures import Result

    try:
        return Result.from_dict(json.loads(path.read_bytes()))
    except OSError as problem:
        raise InvalidArgumentError(f"--compare: cannot read {path}: {problem.strerror}") from problem
    except ValueError as problem:
        reason = problem if isinstance(problem, StoreError) else "it is no JSON"
        raise InvalidArgumentError(
            f"--compare: {path}: {reason}; a result is made by: bench --json FILE"
        ) from problem


def _compare(old: Result | None, new: Result) -> Comparison | None:
    if old is None:
        return None
    from miniagent_store.bench.compare import compare

    comparison = compare(old, new)
    for difference in comparison.differences:
        click.echo(f"warning: not the same as then: {printable(difference)}", err=True)
    return comparison


def _show(result: Result, comparison: Comparison | None) -> None:
    from miniagent_store.cli.bench.tables import show_comparison, show_result

    show_result(result)
    if comparison is not None:
        show_comparison(comparison)


def _write(path: Path, document: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(plain(document), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as problem:
        raise InvalidArgumentError(f"--json: cannot write {path}: {problem.strerror}") from problem
    click.echo(f"wrote {path}", err=True)


def _draw(result: Result, folder: Path) -> None:
    from miniagent_store.bench.plots import draw

    try:
        made = draw(result, folder)
    except OSError as problem:
        raise InvalidArgumentError(f"--plot: cannot write into {folder}: {problem.strerror}") from problem
    for path in made:
        click.echo(f"drew {path}", err=True)
    if not made:
        click.echo("nothing to draw; pictures show operations and concurrency", err=True)
