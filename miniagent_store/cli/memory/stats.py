"""``memory stats``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.memory.scopes import every_scope, find_scope, scope_argument
from miniagent_store.cli.output import bytes_text, emit_json, show_fields, show_table
from miniagent_store.cli.settings import json_option, store_options, with_store

if TYPE_CHECKING:
    from miniagent_store.memory_report import MemoryStats
    from miniagent_store.store.protocol import SessionStore


@click.command(
    "stats",
    epilog="""\b
Examples:
  miniagent-store memory stats ada
  miniagent-store memory stats --json | jq '.[] | select(.model != "hash:512") | .scope'

Memories are counted one by one: it takes longer where there are more.""",
)
@scope_argument(required=False)
@json_option
@store_options()
def command(scope: str | None, as_json: bool) -> None:
    """Show how much is remembered in SCOPE, and with which vectors; without SCOPE, in each."""

    async def read(store: SessionStore) -> dict[str, MemoryStats]:
        if scope is not None:
            return {scope: await (await find_scope(store, scope)).stats()}
        names = [name async for name, _ in every_scope(store)]
        return {name: await store.memory(name).stats() for name in names}

    found = with_store(read)
    if as_json:
        documents = [{"scope": name, **stats.to_dict()} for name, stats in found.items()]
        emit_json(documents if scope is None else documents[0])
    elif scope is not None:
        show_fields(_fields(scope, found[scope]))
    elif found:
        _show(found)
    else:
        click.echo("nothing is remembered", err=True)


def _fields(scope: str, stats: MemoryStats) -> Iterator[tuple[str, str]]:
    yield "scope", scope
    yield "memories", f"{stats.memories:,}"
    yield "size", bytes_text(stats.bytes)
    yield "model", stats.model or "-"
    yield "dimensions", f"{stats.dimensions:,}" if stats.dimensions else "-"
    yield "generation", str(stats.generation)
    yield "index", stats.index or "-"
    if stats.reindexing is not None:
        yield "reindexing", _told(stats)


def _told(stats: MemoryStats) -> str:
    """How far new vectors are."""
    if stats.reindexing is None:
        return "-"
    name = stats.reindexing["name"]
    if stats.reindexing["in_use"]:
        return f"vectors of {name} are in use; old ones are being removed"
    return f"vectors of {name} are being made (cut short? `memory reindex` goes on)"


def _show(found: dict[str, MemoryStats]) -> None:
    rows = [
        (
            scope,
            f"{stats.memories:,}",
            bytes_text(stats.bytes),
            stats.model or "-",
            str(stats.dimensions or "-"),
            stats.index or "-",
            "-" if stats.reindexing is None else str(stats.reindexing["name"]),
        )
        for scope, stats in found.items()
    ]
    show_table(
        ["scope", "memories", "size", "model", "dimensions", "index", "reindexing"],
        rows,
        right=["memories", "size", "dimensions"],
        keep=["scope", "memories", "size"],
    )
