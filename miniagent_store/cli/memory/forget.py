"""``memory forget``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from miniagent_store.cli.memory.scopes import find_scope, scope_argument
from miniagent_store.cli.output import counted, emit_json
from miniagent_store.cli.progress_bar import progress_bar
from miniagent_store.cli.sessions.confirm import confirmed
from miniagent_store.cli.settings import json_option, opened_store, store_options

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore


@click.command(
    "forget",
    epilog="""\b
Examples:
  miniagent-store memory forget ada
  miniagent-store memory forget ada --dry-run
  miniagent-store memory forget ada 0190c1d2aa00-5b1f6c2d --yes     only this one
  miniagent-store memory forget ada --session 3f9c21ab --yes        what was said there

Sessions stay as they are; what they said until now is not remembered again.""",
)
@scope_argument()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--session", "session_id", metavar="SESSION", help="Only what was said in this session.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be forgotten.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@store_options()
@click.pass_context
def command(
    ctx: click.Context,
    scope: str,
    ids: tuple[str, ...],
    session_id: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Forget SCOPE as a whole, or only some of its memories, for good."""
    if ids and session_id is not None:
        raise click.UsageError("give IDs or --session, not both.")
    with opened_store() as opened:
        count, what = opened.run(_plan(opened.store, scope, ids, session_id))
        if dry_run:
            if as_json:
                emit_json({"scope": scope, "forgotten": 0, "would_forget": count})
            else:
                click.echo(f"would forget {what}")
            return
        if not confirmed(f"Forget {what} for good?", yes=yes):
            ctx.exit(1)
        forgotten = opened.run(_forget(opened.store, scope, ids, session_id, count))
    if as_json:
        emit_json({"scope": scope, "forgotten": forgotten})
    else:
        click.echo(f"forgot {_memories(forgotten)} of {scope}")


async def _plan(
    store: SessionStore, scope: str, ids: tuple[str, ...], session_id: str | None
) -> tuple[int | None, str]:
    """How many there are, where that can be told, and what they are."""
    memory = await find_scope(store, scope)
    if session_id is not None:
        return None, f"what was said in session {session_id}, of {scope}"
    if ids:
        count = sum([await memory.get(each) is not None for each in dict.fromkeys(ids)])
        return count, f"{_memories(count)} of {scope}"
    count = (await memory.stats()).memories
    return count, f"all that is remembered of {scope} ({_memories(count)})"


async def _forget(
    store: SessionStore, scope: str, ids: tuple[str, ...], session_id: str | None, count: int | None
) -> int:
    memory = store.memory(scope)
    if session_id is not None:
        return await memory.delete_of(session_id)
    if ids:
        return await memory.delete(*dict.fromkeys(ids))
    gone = 0
    with progress_bar("forgetting", count, "memories") as tell:

        def told(so_far: int) -> None:
            nonlocal gone
            gone = so_far
            tell(so_far)

        await memory.forget(progress=told)
    return gone


def _memories(count: int) -> str:
    return counted(count, "memory")
