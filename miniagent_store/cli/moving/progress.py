"""How far it is: on a terminal a bar with the rate and the time left, elsewhere nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Tell(Protocol):
    """Called again and again."""

    def __call__(self, done: int, *, doing: str | None = None, total: int | None = None) -> None:
        """Show that `done` sessions are; of another `total`, or as part of another step, where given."""
        ...


def _quietly(done: int, *, doing: str | None = None, total: int | None = None) -> None:
    return None


@contextmanager
def watched(doing: str, total: int | None = None) -> Iterator[Tell]:
    """What is to be told of progress; shown on stderr."""
    if not sys.stderr.isatty():
        yield _quietly
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(TextColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f} sessions/s")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(""),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=total or None)
        step = doing

        def tell(done: int, *, doing: str | None = None, total: int | None = None) -> None:
            nonlocal step
            if doing is not None and doing != step:
                # The rate is of the step.
                bar.reset(task, description=doing, total=total or None)
                step = doing
            if total is not None:
                bar.update(task, total=total or None)
            bar.update(task, completed=done)

        yield tell
