"""A walk over all stored values, as it is watched and as it is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import counted, show_table

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from miniagent_store.keys.keyring import Keyring
    from miniagent_store.reencryption import Reencryption, WrittenWith
    from miniagent_store.store.protocol import SessionStore

_LINE_EVERY = 1000


async def walk(store: SessionStore, *, dry_run: bool, doing: str) -> Reencryption:
    """Walk, and show on stderr how far it is."""
    with _progress(doing, sum((await store.stats()).sessions.values())) as tell:
        return await store.reencrypt(dry_run=dry_run, progress=tell)


class _Lines:
    """Where nobody watches: a line now and then, so that a log shows it is alive."""

    def __init__(self, doing: str) -> None:
        self._doing, self._told = doing, 0

    def __call__(self, so_far: Reencryption) -> None:
        if so_far.sessions >= self._told + _LINE_EVERY:
            self._told = so_far.sessions
            click.echo(
                f"{self._doing}: {so_far.sessions} sessions, {so_far.values} values, "
                f"{so_far.rewritten} rewritten",
                err=True,
            )


class _Bar:
    """On a terminal: a bar."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def __call__(self, so_far: Reencryption) -> None:
        self._bar.update(
            self._task,
            completed=so_far.sessions,
            values=counted(so_far.values, "value"),
            rewritten=so_far.rewritten,
        )


@contextmanager
def _progress(doing: str, sessions: int) -> Iterator[_Lines | _Bar]:
    if not sys.stderr.isatty():
        yield _Lines(doing)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("sessions · {task.fields[values]} · {task.fields[rewritten]} rewritten"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=sessions or None, values="0 values", rewritten=0)
        yield _Bar(bar, task)


def show_in_use(result: Reencryption, ring: Keyring | None) -> None:
    """A table of what stored values are written with, and what could not be read."""
    rows = [
        (each.codecs, each.key_id or "-", role_of(each, ring), f"{count:,}")
        for each, count in sorted(result.in_use.items())
    ]
    show_table(
        ["written with", "key", "which is", "values"], rows, right=["values"], keep=["key", "values"]
    )
    for problem in result.problems:
        click.echo(f"cannot be read: {problem}", err=True)
    if result.failed > len(result.problems):
        click.echo(f"… and {result.failed - len(result.problems)} more", err=True)


def role_of(written: WrittenWith, ring: Keyring | None) -> str:
    """What a key is to the store."""
    from miniagent_store.reencryption import DATA_KEY

    if not written.key_id:
        return "no key"
    if written.key_id == DATA_KEY:
        return "each session's own"
    if ring is None:
        return "of the key service"
    key = next((key for key in ring.keys if key.id.hex() == written.key_id), None)
    if key is None:
        return "NOT IN THE KEYRING"
    return f"{key.label}, primary" if key is ring.primary else f"{key.label}, old"
