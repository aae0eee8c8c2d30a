"""``sessions clear``."""

from __future__ import annotations

import click

from miniagent_store.cli.output import counted, emit_json
from miniagent_store.cli.sessions.argument import session_argument
from miniagent_store.cli.sessions.confirm import confirmed
from miniagent_store.cli.settings import json_option, opened_store, store_options


@click.command(
    "clear",
    epilog="""\b
Examples:
  miniagent-store sessions clear 3f9c
  miniagent-store sessions clear 3f9c --yes""",
)
@session_argument
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@store_options()
@click.pass_context
def command(ctx: click.Context, session: str, yes: bool, as_json: bool) -> None:
    """Empty the logs of a SESSION; its state and metadata stay."""

    from miniagent_store.cli.resolve import find_session

    with opened_store() as opened:
        before = opened.run(find_session(opened.store, session))
        question = f"Clear {counted(before.message_count, 'message')} of session {before.id}?"
        if not confirmed(question, yes=yes):
            ctx.exit(1)
        after = opened.run(opened.store.clear(before.id))
    if as_json:
        emit_json({"session": after.to_dict(), "cleared": before.message_count})
    else:
        click.echo(f"cleared {counted(before.message_count, 'message')} of {after.id}")
