"""The SESSION that a command is about, by the first characters of its id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def session_argument(command: Command) -> Command:
    """``SESSION``, which a shell completes."""
    return click.argument("session", shell_complete=complete_id)(command)


def complete_id(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Ids that start so, the most recently active first; none where the store does not answer at once."""
    from miniagent_store.cli.completing import ids_like

    return ids_like(ctx, incomplete)
