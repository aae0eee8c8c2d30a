"""How far long work is: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(doing: str, total: int | None, unit: str = "sessions") -> Iterator[Callable[[int], None]]:
    """What is to be told, again and again, how much is done; shown on stderr.

    Args:
        doing: what is done, such as "searching".
        total: how much there is to do; None where nobody knows.
        unit: of what.
    """
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    # What is printed meanwhile goes above the bar; into a pipe it goes as it is.
    above = sys.stdout.isatty()
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=above, redirect_stderr=True
    ) as bar:
        task = bar.add_task(doing, total=total or None)
        yield lambda done: bar.update(task, completed=done)
