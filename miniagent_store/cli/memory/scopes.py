"""The SCOPE that a command is about, and all that there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError

if TYPE_CHECKING:
    from miniagent_store.store.memory.scope import MemoryScope
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Session

Command = TypeVar("Command", bound=Callable[..., Any])


def scope_argument(*, required: bool = True) -> Callable[[Command], Command]:
    """``SCOPE``, which a shell completes."""
    return click.argument("scope", required=required, shell_complete=complete_scope)


def complete_scope(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Scopes that start so, the last changed first; none where the store does not answer at once."""
    from miniagent_store.cli.completing import ids_like
    from miniagent_store.store.memory import layout

    start = layout.record_of(incomplete) if incomplete else f"{layout.KIND}/"
    return [layout.scope_of(each) for each in ids_like(ctx, start, kind=layout.KIND)]


def embedder_option(command: Command) -> Command:
    """``--embedder``, without which it is that of the scope's vectors."""
    return click.option(
        "--embedder",
        metavar="NAME",
        help="Makes a vector of the query; the one that made the scope's unless given.",
    )(command)


async def every_scope(store: SessionStore) -> AsyncIterator[tuple[str, Session]]:
    """All scopes with their records, the last changed first."""
    from miniagent_store.measuring.walking import every_session
    from miniagent_store.store.memory import layout

    async for record in every_session(store, kind=layout.KIND):
        yield layout.scope_of(record.id), record


async def find_scope(store: SessionStore, scope: str, **options: Any) -> MemoryScope:
    """A scope in which there is something; `options` are those of `SessionStore.memory`.

    Raises:
        InvalidArgumentError: there is none of this name.
    """
    from miniagent_store.store.memory import layout

    try:
        await store.get(layout.record_of(scope))
    except SessionNotFoundError:
        raise InvalidArgumentError(
            f"nothing is remembered of {scope!r}; see `miniagent-store memory list`"
        ) from None
    return store.memory(scope, **options)
