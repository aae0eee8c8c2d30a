"""``sessions list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import age, bytes_text, emit_json, show_table
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
  miniagent-store sessions list --all --json | jq -r '.items[].id'""",
)
@click.option("--user", metavar="ID", help="Only this user's.")
@click.option("--agent", metavar="NAME", help="Only this agent's.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Only with this tag; repeat for several.")
@click.option("--kind", default="session", show_default=True, help="What the records carry.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many."
)
@click.option("--cursor", metavar="TEXT", help="Go on after a page; the page before says how.")
@click.option("--all", "everything", is_flag=True, help="All pages.")
@json_option
@store_options()
def command(
    user: str | None,
    agent: str | None,
    tags: tuple[str, ...],
    kind: str,
    limit: int,
    cursor: str | None,
    everything: bool,
    as_json: bool,
) -> None:
    """List sessions, the most recently active first."""
    if everything and cursor:
        raise click.UsageError("--all starts at the beginning: leave out --cursor.")

    async def read(store: SessionStore) -> Page:
        if not everything:
            return await store.list(
                user_id=user, agent=agent, tags=tags, kind=kind, cursor=cursor, limit=limit
            )
        from miniagent_store.cli.resolve import every_session
        from miniagent_store.values import Page

        found = every_session(store, user_id=user, agent=agent, tags=tags, kind=kind)
        return Page([session async for session in found])

    page = with_store(read)
    if as_json:
        emit_json({"items": [each.to_dict() for each in page], "next_cursor": page.next_cursor})
        return
    if not page.items:
        # For people, and so on stderr: a script that counts lines must find none.
        click.echo("no sessions; `miniagent-store chat` starts one", err=True)
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
