"""``keys check``."""

from __future__ import annotations

import click

from miniagent_store.cli.keys.verdict import verdict
from miniagent_store.cli.keys.walking import show_in_use, walk
from miniagent_store.cli.output import emit_json
from miniagent_store.cli.settings import json_option, store_options, with_store


@click.command(
    "check",
    epilog="""\b
Examples:
  miniagent-store --store 'redis://localhost:6379/0?serializer=encrypted' keys check
  miniagent-store keys check --json | jq .in_use

Exit codes: 0 all values are written with the primary key, 1 some are not, or cannot be read.""",
)
@json_option
@store_options()
def command(as_json: bool) -> None:
    """Tell which keys the stored values are written with, and which keys may be removed.

    Looks at the header of every value; writes nothing.
    """
    result = with_store(lambda store: walk(store, dry_run=True, doing="looking"))
    told = verdict(result)
    if as_json:
        emit_json({**result.to_dict(), **told.to_dict()})
    else:
        show_in_use(result, told.ring)
        for line in told.lines:
            click.echo(line)
    click.get_current_context().exit(0 if told.done else 1)
