"""``memory search``."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from miniagent_store.cli.memory.scopes import embedder_option, find_scope, scope_argument
from miniagent_store.cli.memory.showing import plain_memory, show_memories
from miniagent_store.cli.moments import MOMENT
from miniagent_store.cli.output import emit_json
from miniagent_store.cli.settings import json_option, store_options, with_store

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Memory

MODES = ("hybrid", "vector", "words")


def _filter(ctx: click.Context, param: click.Parameter, text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"it is no JSON: {error}") from None


@click.command(
    "search",
    short_help="Find what fits a text best.",
    epilog="""\b
Examples:
  miniagent-store memory search ada 'what is the dog called?'
  miniagent-store memory search ada invoice-4711 --mode words
  miniagent-store memory search ada food --filter '{"year": {"$gte": 2024}}' --since 30d
  miniagent-store memory search ada food -k 50 --json | jq -r '.[].text'

Scores are those of --mode: of "vector" cosines, 1 for the same; of "words" and "hybrid", higher is better.

Exit codes: 0 found, 1 not found.""",
)
@scope_argument()
@click.argument("query")
@click.option(
    "-k", "k", type=click.IntRange(1, 1000), default=10, show_default=True, help="At most so many."
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="hybrid",
    show_default=True,
    help="By meaning, words, or both.",
)
@click.option(
    "--filter",
    "filter_",
    metavar="JSON",
    callback=_filter,
    help="Only such metadata.",
)
@click.option("--since", type=MOMENT, metavar="WHEN", help="Only what was said since: 2h, 7d, 2030-01-31.")
@click.option("--before", type=MOMENT, metavar="WHEN", help="Only what was said before.")
@click.option("--min-score", type=float, metavar="SCORE", help="Leave out what fits less.")
@embedder_option
@json_option
@store_options()
@click.pass_context
def command(
    ctx: click.Context,
    scope: str,
    query: str,
    k: int,
    mode: Any,
    filter_: Any,
    since: datetime | None,
    before: datetime | None,
    min_score: float | None,
    embedder: str | None,
    as_json: bool,
) -> None:
    """Find what is remembered in SCOPE that fits QUERY best, the best first."""

    async def search(store: SessionStore) -> list[Memory]:
        memory = await find_scope(store, scope)
        if mode != "words":
            memory = store.memory(scope, embedder=embedder or await memory.model() or "hash")
        return await memory.search(
            query, k=k, filter=filter_, min_score=min_score, after=since, before=before, mode=mode
        )

    found = with_store(search)
    if as_json:
        emit_json([plain_memory(each) for each in found])
    elif found:
        show_memories(found, scored=True)
    else:
        click.echo("nothing was found", err=True)
    ctx.exit(0 if found else 1)
