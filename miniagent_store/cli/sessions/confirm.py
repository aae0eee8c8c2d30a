"""Ask before something is gone for good."""

from __future__ import annotations

import sys

import click


def confirmed(question: str, *, yes: bool) -> bool:
    """Whether to go on: `yes`, or asked on a terminal. Says so if not.

    Raises:
        click.UsageError: there is nobody to ask.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to confirm: add --yes.")
    # On stderr, so that --json keeps stdout to itself.
    if click.confirm(question, err=True):
        return True
    click.echo("nothing was changed", err=True)
    return False
