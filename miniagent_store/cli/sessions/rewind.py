"""``sessions rewind``."""

from __future__ import annotations

import click

from miniagent_store.cli.output import counted, emit_json
from miniagent_store.cli.sessions.argument import session_argument
from miniagent_store.cli.sessions.confirm import confirmed
from miniagent_store.cli.settings import json_option, opened_store, store_options


@click.command(
    "rewind",
    epilog="""\b
Examples:
  miniagent-store sessions rewind 3f9c --to 12 --dry-run
  miniagent-store sessions rewind 3f9c --to 12
  miniagent-store sessions rewind 3f9c --to 0 --yes       before the first message

`sessions fork` keeps a copy of what goes.""",
)
@session_argument
@click.option("--to", type=click.IntRange(0), required=True, metavar="SEQ", help="The last that stays.")
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@store_options()
@click.pass_context
def command(ctx: click.Context, session: str, to: int, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Take back what was said in a SESSION after a message, with what other logs had since."""
    from miniagent_store.cli.resolve import find_session

    with opened_store() as opened:
        before = opened.run(find_session(opened.store, session))
        going = opened.run(opened.store.count(before.id, after=to))
        what = f"{counted(going, 'message')} of session {before.id} after {to}"
        if dry_run:
            if as_json:
                emit_json({"session": before.to_dict(), "removed": 0, "would_remove": going})
            else:
                click.echo(f"would remove {what}")
            return
        if not confirmed(f"Remove {what} for good?", yes=yes):
            ctx.exit(1)
        after = opened.run(opened.store.rewind(before.id, to=to))
    removed = before.message_count - after.message_count
    if as_json:
        emit_json({"session": after.to_dict(), "removed": removed})
    else:
        click.echo(f"removed {counted(removed, 'message')} of {after.id}")
