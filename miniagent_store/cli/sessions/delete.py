"""``sessions delete``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import counted, emit_json
from miniagent_store.cli.sessions.argument import complete_id
from miniagent_store.cli.sessions.confirm import confirmed
from miniagent_store.cli.settings import json_option, opened_store, store_options

if TYPE_CHECKING:
    from miniagent_store.values import Session


@click.command(
    "delete",
    epilog="""\b
Examples:
  miniagent-store sessions delete 3f9c
  miniagent-store sessions delete 3f9c21ab 77ab10ce --dry-run
  miniagent-store sessions delete 3f9c21ab 77ab10ce --yes""",
)
@click.argument("sessions", nargs=-1, required=True, metavar="SESSION...", shell_complete=complete_id)
@click.option("--dry-run", is_flag=True, help="Only tell what would be deleted.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@store_options()
@click.pass_context
def command(ctx: click.Context, sessions: tuple[str, ...], dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove sessions with all that is in them."""

    from miniagent_store.cli.resolve import find_session

    with opened_store() as opened:
        # All are found before the first is deleted: a typing error deletes nothing.
        sought = [opened.run(find_session(opened.store, text)) for text in sessions]
        found = {each.id: each for each in sought}
        if dry_run:
            _tell_plan(found.values(), as_json)
            return
        if not yes:
            for each in found.values():
                click.echo(f"{each.id}  {counted(each.message_count, 'message')}", err=True)
        if not confirmed(f"Delete {counted(len(found), 'session')} for good?", yes=yes):
            ctx.exit(1)
        deleted = [session_id for session_id in found if opened.run(opened.store.delete(session_id))]
    if as_json:
        emit_json({"deleted": deleted})
        return
    for session_id in deleted:
        click.echo(f"deleted {session_id}")


def _tell_plan(sessions: Iterable[Session], as_json: bool) -> None:
    if as_json:
        emit_json({"deleted": [], "would_delete": [each.id for each in sessions]})
        return
    for each in sessions:
        click.echo(f"would delete {each.id}  {counted(each.message_count, 'message')}")
