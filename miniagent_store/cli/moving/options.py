"""What `export` and `import` are told alike, and how they fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from miniagent_store.cli.moments import moment
from miniagent_store.errors import StoreError

if TYPE_CHECKING:
    from miniagent_store.moving.walking import Filters

Command = TypeVar("Command", bound=Callable[..., Any])


def filter_options(command: Command) -> Command:
    """``--user``, ``--agent``, ``--kind``, ``--tag`` and ``--since``."""
    options = (
        click.option("--user", metavar="ID", help="Only this user's."),
        click.option("--agent", metavar="NAME", help="Only this agent's."),
        click.option("--kind", metavar="NAME", help="Only of this kind: session, kv, …; all by default."),
        click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only with this tag; repeatable."),
        click.option(
            "--since",
            metavar="TIME",
            help="Only active since: 2030-01-31, 2030-01-31T12:00 (UTC), or 7d.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def filters_of(
    user: str | None, agent: str | None, kind: str | None, tags: tuple[str, ...], since: str | None
) -> Filters:
    """The filters that were given."""
    from miniagent_store.moving.walking import Filters

    when = None if since is None else moment(since)
    if since is not None and when is None:
        raise click.UsageError(
            f"--since takes a time such as 2030-01-31 or 2030-01-31T12:00 (UTC), or 7d, not {since!r}"
        )
    return Filters.of(user_id=user, agent=agent, kind=kind, tags=tags, since=when)


@contextmanager
def file_failures(name: str) -> Iterator[None]:
    """A file that cannot be read or written is told in one line."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StoreError(f"{name}: {error.strerror or error}") from error


@contextmanager
def interruptible(advice: str) -> Iterator[None]:
    """At Ctrl-C, say how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\ninterrupted; {advice}", err=True)
        raise
