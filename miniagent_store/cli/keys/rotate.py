"""``keys rotate``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.keys.verdict import verdict
from miniagent_store.cli.keys.walking import show_in_use, walk
from miniagent_store.cli.output import counted, emit_json
from miniagent_store.cli.settings import json_option, store_options, with_store

if TYPE_CHECKING:
    from miniagent_store.reencryption import Reencryption
    from miniagent_store.store.protocol import SessionStore


@click.command(
    "rotate",
    epilog="""\b
Examples:
  miniagent-store --store 'redis://localhost:6379/0?serializer=encrypted&keys=file:keys.txt' keys rotate
  miniagent-store --store 'sqlite:///team.db?serializer=encrypted&accept=msgpack' keys rotate

The second one turns encryption on for what was stored in the clear. Cut short, run it again: what is done
is only looked at.

Exit codes: 0 all values are written with the primary key, 1 some are not, or cannot be read.""",
)
@json_option
@store_options()
def command(as_json: bool) -> None:
    """Write anew what is not written with the primary key and the serializer of --store.

    Others may read and write meanwhile. No version, activity, expiry or event changes.
    """

    async def rotate(store: SessionStore) -> tuple[Reencryption, Reencryption]:
        done = await walk(store, dry_run=False, doing="rewriting")
        # What others wrote behind our back, with a key that they thought was the primary one, shows here.
        found = await walk(store, dry_run=True, doing="checking")
        # That a value cannot be read shows only when it is to be written anew.
        failed = max(done.failed, found.failed)
        return done, replace(found, failed=failed, problems=done.problems or found.problems)

    done, found = with_store(rotate)
    told = verdict(found)
    if as_json:
        emit_json({**found.to_dict(), **told.to_dict(), "rewritten": done.rewritten})
    else:
        click.echo(f"rewrote {counted(done.rewritten, 'value')} of {counted(done.values, 'value')}")
        show_in_use(found, told.ring)
        for line in told.lines:
            click.echo(line)
    click.get_current_context().exit(0 if told.done else 1)
