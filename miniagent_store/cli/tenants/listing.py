"""``tenants list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import emit_json, show_table
from miniagent_store.cli.settings import json_option, store_options, with_store

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Stats


@click.command(
    "list",
    epilog="""\b
Examples:
  miniagent-store tenants list
  miniagent-store --store redis://localhost:6379/0 tenants list --json

On Redis this walks over the names of all keys.""",
)
@json_option
@store_options()
def command(as_json: bool) -> None:
    """Show the tenants that hold anything, and how much."""

    async def held(store: SessionStore) -> dict[str, Stats]:
        return {name: await store.tenant(name).stats() for name in await store.tenants()}

    found = with_store(held)
    if as_json:
        emit_json([{"tenant": name, **stats.to_dict()} for name, stats in found.items()])
        return
    if not found:
        click.echo("no tenants hold anything", err=True)
        return
    rows = [
        (name, f"{stats.sessions.get('session', 0):,}", f"{stats.messages:,}", f"{stats.size:,}")
        for name, stats in found.items()
    ]
    show_table(
        ["tenant", "sessions", "messages", "bytes"],
        rows,
        right=["sessions", "messages", "bytes"],
        keep=["tenant"],
    )
