"""``sessions touch``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import age, emit_json
from miniagent_store.cli.sessions.argument import session_argument
from miniagent_store.cli.settings import json_option, store_options, with_store

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Session


@click.command(
    "touch",
    epilog="""\b
Examples:
  miniagent-store sessions touch 3f9c                 as long again as it had
  miniagent-store sessions touch 3f9c --ttl 7d
  miniagent-store sessions touch 3f9c --ttl never""",
)
@session_argument
@click.option("--ttl", metavar="TTL", help="A new time to live: seconds, 30m, 1h, 7d or never.")
@json_option
@store_options()
def command(session: str, ttl: str | None, as_json: bool) -> None:
    """Renew the expiry of a SESSION."""

    async def renew(store: SessionStore) -> Session:
        from miniagent_store.cli.resolve import find_session

        return await store.touch((await find_session(store, session)).id, ttl)

    record = with_store(renew)
    if as_json:
        emit_json({"session": record.to_dict()})
    elif record.expires_at is None:
        click.echo(f"{record.id} never expires")
    else:
        click.echo(f"{record.id} expires {age(record.expires_at)}")
