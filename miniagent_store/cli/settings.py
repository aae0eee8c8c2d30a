"""What every command is told: which store, how much to say, and in which form."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore

INTERRUPTED = 130  # the exit code after Ctrl-C, as shells have it: 128 + SIGINT

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(slots=True)
class Settings:
    """The options that all commands share.

    Attributes:
        url: the store that was asked for; None for the default one.
        verbose: show tracebacks.
    """

    url: str | None = None
    verbose: bool = False


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    # Given at several places (before and after the command), the last one that says something wins.
    if value:
        setattr(ctx.ensure_object(Settings), str(param.name), value)


def store_options(*, root: bool = False) -> Callable[[Command], Command]:
    """``--store`` and ``-v``, which may stand before a command and after it.

    Only the root reads the environment, so that ``miniagent-store --store X cmd`` is not undone by it.
    """

    def decorate(command: Command) -> Command:
        store = click.option(
            "--store",
            "url",
            metavar="URL",
            envvar="MINIAGENT_STORE_URL" if root else None,
            show_envvar=root,
            expose_value=False,
            callback=_remember,
            help="Which store, such as sqlite:///sessions.db.",
        )
        verbose = click.option(
            "-v",
            "--verbose",
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help="Show a traceback when something fails.",
        )
        return store(verbose(command))

    return decorate


def json_option(command: Command) -> Command:
    """``--json``: one JSON document on stdout and nothing else."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def on_this_store(arguments: str) -> str:
    """A command line that does something with the store of this command, to be typed as it is.

    A secret in the URL is not repeated: then it says where the URL belongs.
    """
    url = current().url
    if url is None or url == os.environ.get("MINIAGENT_STORE_URL"):
        return f"miniagent-store {arguments}"
    from miniagent_store.url import redact_text

    shown = redact_text(url)
    return f"miniagent-store --store {shlex.quote(url) if shown == url else 'URL'} {arguments}"


def current() -> Settings:
    """The settings of the command that runs."""
    return click.get_current_context().ensure_object(Settings)


class OpenedStore:
    """A store, and the loop it lives in.

    Work is done in pieces, with the loop at rest between them, so that a person can be asked something:
    while a loop runs, asyncio takes Ctrl-C for itself and `input` never hears of it.

    Args:
        store: the store.
        runner: whose loop it was opened in.
    """

    def __init__(self, store: SessionStore, runner: asyncio.Runner) -> None:
        self.store = store
        self._runner = runner

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do a piece of work; Ctrl-C cancels it and raises KeyboardInterrupt."""
        return self._runner.run(work)


@contextmanager
def opened_store(url: str | None = None) -> Iterator[OpenedStore]:
    """Open a store, the one that was asked for unless `url` is given, and close it at the end."""
    from miniagent_store.factory import open_store

    store = open_store(url or current().url)
    with asyncio.Runner() as runner:
        try:
            runner.run(store.open())
            yield OpenedStore(store, runner)
        finally:
            runner.run(store.close())


def with_store(work: Callable[[SessionStore], Coroutine[Any, Any, T]]) -> T:
    """Open the store that was asked for, do `work` with it, and close it."""
    with opened_store() as opened:
        return opened.run(work(opened.store))
