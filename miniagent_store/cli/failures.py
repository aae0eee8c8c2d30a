"""How a failure is told."""

from __future__ import annotations

import traceback

import click

from miniagent_store.cli.output import printable
from miniagent_store.cli.settings import current
from miniagent_store.errors import StoreError
from miniagent_store.url import redact_text


def tell(error: StoreError) -> None:
    """One line on stderr, ``error: …``; with -v the traceback before it. Neither shows a password."""
    if current().verbose:
        # Messages of foreign libraries in the chain may quote a URL.
        trace = "".join(traceback.format_exception(error))
        click.echo(printable(redact_text(trace)), err=True, nl=False)
    line = " ".join(printable(str(error)).split())
    click.echo(f"error: {redact_text(line) or type(error).__name__}", err=True)
