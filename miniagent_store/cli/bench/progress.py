"""What is measured now: a bar on a terminal, lines elsewhere, both on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress(steps: int) -> Iterator[Callable[[str], None]]:
    """What is to be told of each step when it begins.

    Args:
        steps: about how many there are.
    """
    if not sys.stderr.isatty():
        yield lambda what: click.echo(f"measuring {what}", err=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=steps + 1)

        def tell(what: str) -> None:
            bar.update(task, description=what, advance=1)

        yield tell
