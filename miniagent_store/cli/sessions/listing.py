"""``sessions list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import age, bytes_text, emit_json, show_table
from miniagent_store.cli.sessions.filters import Filters, filter_options
from miniagent_store.cli.settings import json_option, store_options, with_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Page, Session


@click.command(
    "list",
    epilog="""\b
Examples:
  miniagent-store sessions list --user ada --limit 10
  miniagent-store sessions list --tag team=blue --tag urgent
  miniagent-store sessions list --since 2h
  miniagent-store sessions list --all --json | jq -r '.items[].id'""",
)
@filter_options
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many."
)
@click.option("--cursor", metavar="TEXT", help="Go on after a page; the page before says how.")
@click.option("--all", "everything", is_flag=True, help="All pages.")
@json_option
@store_options()
def command(filters: Filters, limit: int, cursor: str | None, everything: bool, as_json: bool) -> None:
    """List sessions, the most recently active first."""
    if everything and cursor:
        raise click.UsageError("--all starts at the beginning: leave out --cursor.")

    async def read(store: SessionStore) -> Page:
        from miniagent_store.values import Page

        if everything:
            return Page([session async for session in filters.sessions(store)])
        page = await store.list(**filters.listed, cursor=cursor, limit=limit)
        if filters.since is None or not page.items or page.items[-1].last_activity >= filters.since:
            return page
        return Page([each for each in page if each.last_activity >= filters.since])

    page = with_store(read)
    if as_json:
        emit_json({"items": [each.to_dict() for each in page], "next_cursor": page.next_cursor})
        return
    if not page.items:
        # For people, and so on stderr: a script that counts lines must find none.
        hint = "; `miniagent-store chat` starts one" if filters.is_open else " like that"
        click.echo(f"no sessions{hint}", err=True)
        return
    show_sessions(page.items)
    if page.next_cursor:
        click.echo(f"more: --cursor {page.next_cursor}, or --all", err=True)


def show_sessions(sessions: Sequence[Session]) -> None:
    """Print a table of sessions."""
    show_table(
        ["id", "user", "agent", "messages", "size", "last activity", "expires"],
        [
            (
                each.id,
                each.user_id or "-",
                each.agent or "-",
                str(each.message_count),
                bytes_text(each.size),
                age(each.last_activity),
                age(each.expires_at),
            )
            for each in sessions
        ],
        right=("messages", "size"),
        keep=("messages", "size", "last activity", "expires"),
    )
