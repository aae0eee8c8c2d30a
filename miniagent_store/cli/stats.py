"""``miniagent-store stats``: what a store holds, in a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import bytes_text, emit_json, show_fields
from miniagent_store.cli.settings import json_option, store_options, with_store

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Stats

SOON = "1h"
MOST_AGENTS = 10


@click.command(
    "stats",
    epilog="""\b
Examples:
  miniagent-store stats
  miniagent-store stats --json | jq .sessions.session

It takes no longer where there is more. `miniagent-store report` looks at every session and tells more.""",
)
@json_option
@store_options()
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show how much a store holds: sessions, messages, users, agents."""

    async def read(store: SessionStore) -> tuple[str, Stats, int | None]:
        return store.url, await store.stats(), await store.count_expiring(SOON)

    url, stats, soon = with_store(read)
    if as_json:
        emit_json({"store": url, **stats.to_dict(), "expiring_within_1h": soon})
    elif stats.problem is None:
        show_fields(_fields(url, stats, soon))
    if stats.problem is not None:
        if not as_json:
            click.echo(f"error: {stats.problem}", err=True)
        ctx.exit(1)


def _fields(url: str, stats: Stats, soon: int | None) -> Iterator[tuple[str, str]]:
    yield "store", url
    yield "sessions", f"{stats.sessions.get('session', 0):,}"
    if soon is not None:
        yield "expire within 1 h", f"{soon:,}"
    for kind, count in sorted(stats.sessions.items()):
        if kind != "session":
            yield f"of kind {kind}", f"{count:,}"
    yield "messages", f"{stats.messages:,}"
    yield "size", bytes_text(stats.size)
    yield "users", f"{stats.users:,}"
    agents = sorted(stats.agents.items(), key=lambda item: (-item[1], item[0]))
    for number, (agent, count) in enumerate(agents[:MOST_AGENTS]):
        yield "" if number else "agents", f"{agent}: {count:,}"
    if len(agents) > MOST_AGENTS:
        yield "", f"and {len(agents) - MOST_AGENTS:,} more"
