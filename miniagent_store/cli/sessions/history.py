"""``sessions history``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import emit_json
from miniagent_store.cli.sessions.argument import session_argument
from miniagent_store.cli.settings import json_option, store_options, with_store

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Entry


@click.command(
    "history",
    epilog="""\b
Examples:
  miniagent-store sessions history 3f9c --last 10
  miniagent-store sessions history 3f9c --after 42 --times
  miniagent-store sessions history 3f9c --json | jq -r '.entries[].value.content'""",
)
@session_argument
@click.option("--last", type=click.IntRange(0), metavar="N", help="Only the last N.")
@click.option("--after", type=click.IntRange(0), metavar="SEQ", help="Only what follows this sequence.")
@click.option("--log", default="messages", show_default=True, help="Which log.")
@click.option("--times", is_flag=True, help="Show when each was stored.")
@json_option
@store_options()
def command(
    session: str, last: int | None, after: int | None, log: str, times: bool, as_json: bool
) -> None:
    """Show the conversation of a SESSION."""

    async def read(store: SessionStore) -> tuple[str, list[Entry]]:
        from miniagent_store.cli.resolve import find_session

        found = await find_session(store, session)
        return found.id, await store.entries(found.id, log=log, last=last, after=after)

    session_id, entries = with_store(read)
    if as_json:
        emit_json({"session_id": session_id, "log": log, "entries": [each.to_dict() for each in entries]})
        return
    if not entries:
        click.echo(f"nothing in log {log!r} of {session_id}", err=True)
        return
    from miniagent_store.cli.conversation import Printer

    printer = Printer(times=times)
    for entry in entries:
        printer.entry(entry)
