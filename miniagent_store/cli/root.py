"""The root command: what there is, and how failures leave the process."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, NoReturn, TextIO

import click

from miniagent_store.cli.lazy import LazyGroup
from miniagent_store.cli.output import printable
from miniagent_store.cli.settings import INTERRUPTED, store_options
from miniagent_store.errors import StoreError


class Root(LazyGroup):
    """Turns what goes wrong into one line on stderr and an exit code."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        # Not click's standalone mode: it says "Aborted!" and 1 at Ctrl-C, and knows no StoreError.
        extra["standalone_mode"] = False
        try:
            code = super().main(*args, **extra)
            sys.stdout.flush()
        except click.ClickException as problem:
            problem.show()
            sys.exit(problem.exit_code)
        except (click.Abort, KeyboardInterrupt) as interrupt:
            if isinstance(interrupt, click.Abort) and interrupt.__cause__ is None:
                # From a question, whose line is still open; otherwise click has ended the line.
                click.echo(err=True)
            sys.exit(INTERRUPTED)
        except OSError as problem:
            if problem.errno != errno.EPIPE:
                raise
            _forget_stdout()
            sys.exit(1)
        # Commands return None; a number is what `Context.exit` was given.
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StoreError as error:
            from miniagent_store.cli.failures import tell

            tell(error)
            ctx.exit(1)


@click.group(
    cls=Root,
    homes={
        "demo": "miniagent_store.cli.demo",
        "chat": "miniagent_store.cli.chat",
        "sessions": "miniagent_store.cli.sessions",
        "memory": "miniagent_store.cli.memory",
        "stats": "miniagent_store.cli.stats",
        "report": "miniagent_store.cli.report",
        "top": "miniagent_store.cli.top",
        "usage": "miniagent_store.cli.usage",
        "doctor": "miniagent_store.cli.doctor",
        "repair": "miniagent_store.cli.repair",
        "export": "miniagent_store.cli.moving.export",
        "import": "miniagent_store.cli.moving.importing",
        "migrate": "miniagent_store.cli.moving.migrate",
        "keys": "miniagent_store.cli.keys",
        "tenants": "miniagent_store.cli.tenants",
        "plugins": "miniagent_store.cli.plugins",
        "web": "miniagent_store.cli.web",
        "bench": "miniagent_store.cli.bench",
        "up": "miniagent_store.cli.up",
        "completion": "miniagent_store.cli.completion",
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  miniagent-store demo                         see what it does, in a few seconds
  miniagent-store chat                         talk; Ctrl-D leaves
  miniagent-store chat --last                  go on where you left off, after a restart too
  miniagent-store sessions list                what is stored
  miniagent-store --store sqlite:///team.db sessions list
  miniagent-store --store redis://localhost:6379/0 doctor

\b
Exit codes: 0 done, 1 failed (one line on stderr says why), 2 misused, 130 interrupted.""",
)
@store_options(root=True)
@click.version_option(
    package_name="miniagent-store", prog_name="miniagent-store", message="%(prog)s %(version)s"
)
def cli() -> None:
    """Sessions for AI agents that survive restarts, are shared, expire, and never lose a message.

    Without --store or MINIAGENT_STORE_URL everything is kept in a SQLite file in your data folder.
    """


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as one line for people, without the place in the code; takes `warnings.showwarning`."""
    text = " ".join(printable(str(message)).split())
    click.echo(f"warning: {text.removeprefix('miniagent-store: ')}", err=True)


def _forget_stdout() -> None:
    """Whoever read our output has gone (``| head``): let the interpreter's last flush meet nobody."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass
