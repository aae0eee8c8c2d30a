"""``memory list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from miniagent_store.cli.memory.scopes import every_scope, find_scope, scope_argument
from miniagent_store.cli.memory.showing import plain_memory, show_memories
from miniagent_store.cli.output import age, bytes_text, emit_json, show_table
from miniagent_store.cli.settings import json_option, store_options, with_store

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import MemoryPage, Session


@click.command(
    "list",
    epilog="""\b
Examples:
  miniagent-store memory list
  miniagent-store memory list ada --limit 10
  miniagent-store memory list ada --all --json | jq -r '.items[].text'""",
)
@scope_argument(required=False)
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Memories, at most so many.",
)
@click.option("--cursor", metavar="TEXT", help="Go on after a page; the page before says how.")
@click.option("--all", "everything", is_flag=True, help="All pages.")
@json_option
@store_options()
def command(scope: str | None, limit: int, cursor: str | None, everything: bool, as_json: bool) -> None:
    """List the memories of SCOPE by id; without SCOPE, the scopes there are."""
    if everything and cursor:
        raise click.UsageError("--all starts at the beginning: leave out --cursor.")
    if scope is None:
        _list_scopes(as_json)
    else:
        _list_memories(scope, limit, cursor, everything, as_json)


def _list_scopes(as_json: bool) -> None:
    async def read(store: SessionStore) -> list[tuple[str, Session]]:
        return [each async for each in every_scope(store)]

    found = with_store(read)
    if as_json:
        emit_json(
            [
                {"scope": scope, "size": record.size, "last_change": record.last_activity}
                for scope, record in found
            ]
        )
    elif found:
        rows = [(scope, bytes_text(record.size), age(record.last_activity)) for scope, record in found]
        show_table(["scope", "size", "last change"], rows, right=["size"], keep=["scope"])
    else:
        click.echo("nothing is remembered", err=True)


def _list_memories(scope: str, limit: int, cursor: str | None, everything: bool, as_json: bool) -> None:
    async def read(store: SessionStore) -> MemoryPage:
        from miniagent_store.values import MemoryPage

        memory = await find_scope(store, scope)
        page = await memory.list(limit=limit, cursor=cursor)
        while everything and page.next_cursor is not None:
            more = await memory.list(limit=1000, cursor=page.next_cursor)
            page = MemoryPage([*page, *more], more.next_cursor)
        return page

    page = with_store(read)
    if as_json:
        emit_json({"items": [plain_memory(each) for each in page], "next_cursor": page.next_cursor})
        return
    if page.items:
        show_memories(page.items)
    else:
        click.echo("nothing is remembered", err=True)
    if page.next_cursor:
        click.echo(f"more: --cursor {page.next_cursor}, or --all", err=True)
