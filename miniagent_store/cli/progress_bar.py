"""How far it is: on a terminal a bar with the rate and the time left, elsewhere nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Tell(Protocol):
    """Called again and again."""

    def __call__(self, done: int, *, doing: str | None = None, total: int | None = None) -> None:
        """Show that so many are done; `doing`: in which step, of `total`."""
        ...


def _quietly(done: int, *, doing: str | None = None, total: int | None = None) -> None:
    return None


@contextmanager
def progress_bar(doing: str, total: int | None = None, unit: str = "sessions") -> Iterator[Tell]:
    """What is to be told, again and again, how much is done; shown on stderr.

    Args:
        doing: what is done first, such as "searching".
        total: how much there is to do; None where nobody knows.
        unit: of what.
    """
    if not sys.stderr.isatty():
        yield _quietly
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(TextColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f} {unit}/s")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        Rate(""),
        TimeRemainingColumn(),
    )
    # What is printed meanwhile goes above the bar; into a pipe it goes as it is.
    above = sys.stdout.isatty()
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=above, redirect_stderr=True
    ) as bar:
        task = bar.add_task(doing, total=total or None)
        step = doing

        def tell(done: int, *, doing: str | None = None, total: int | None = None) -> None:
            nonlocal step, task
            if doing is not None and doing != step:
                # A bar of its own, whose rate is that of the step.
                bar.remove_task(task)
                task, step = bar.add_task(doing, total=total or None), doing
            bar.update(task, completed=done)

        yield tell
