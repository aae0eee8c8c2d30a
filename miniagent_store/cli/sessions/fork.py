"""``sessions fork``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import counted, emit_json
from miniagent_store.cli.sessions.argument import session_argument
from miniagent_store.cli.settings import json_option, store_options, with_store

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Session


@click.command(
    "fork",
    epilog="""\b
Examples:
  miniagent-store sessions fork 3f9c
  miniagent-store sessions fork 3f9c --upto 12 --as 3f9c-before-the-refund

The copy has its own life: nothing that is said in one shows in the other.""",
)
@session_argument
@click.option("--upto", type=click.IntRange(0), metavar="SEQ", help="Up to this message; all by default.")
@click.option("--as", "new_id", metavar="ID", help="The copy's id; random by default.")
@json_option
@store_options()
def command(session: str, upto: int | None, new_id: str | None, as_json: bool) -> None:
    """Copy a SESSION, whole or up to a message."""

    async def fork(store: SessionStore) -> tuple[str, Session]:
        from miniagent_store.cli.resolve import find_session

        source = (await find_session(store, session)).id
        return source, await store.fork(source, upto=upto, new_id=new_id)

    source, copy = with_store(fork)
    if as_json:
        emit_json({"forked": source, "session": copy.to_dict()})
    else:
        click.echo(f"{copy.id} has {counted(copy.message_count, 'message')} of {source}")
