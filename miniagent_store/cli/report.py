"""``miniagent-store report``: a page about a store, for people and for a mail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import age, bytes_text, emit_json, printable, show_fields, show_table
from miniagent_store.cli.settings import json_option, store_options, with_store

if TYPE_CHECKING:
    from miniagent_store.measuring.census import Census
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Health, Stats


@click.command(
    "report",
    short_help="Print a page about a store.",
    epilog="""\b
Examples:
  miniagent-store report
  miniagent-store report > report.txt
  miniagent-store report --json | jq .census.expiring

It looks at the record of every session, a page at a time, and at no message. Days are UTC.

Exit codes: 0 printed, 1 the store is not well, which the page tells.""",
)
@json_option
@store_options()
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Print a page about a store: sessions, users, sizes, growth, expiries, health."""

    async def read(store: SessionStore) -> tuple[str, Health, Stats, Census]:
        return store.url, await store.health(), await store.stats(), await _take(store)

    url, health, stats, census = with_store(read)
    if as_json:
        emit_json(
            {
                "store": url,
                "health": health.to_dict(),
                "kinds": stats.sessions,
                "census": census.to_dict(),
            }
        )
    else:
        _print(url, health, stats, census)
    ctx.exit(0 if health.ok else 1)


async def _take(store: SessionStore) -> Census:
    from miniagent_store.cli.progress_bar import progress_bar
    from miniagent_store.measuring.census import Census
    from miniagent_store.measuring.walking import every_session

    census = Census(datetime.now(UTC))
    with progress_bar("looking", await store.count_sessions()) as tell:
        async for session in every_session(store):
            census.add(session)
            tell(census.sessions)
    return census


def _print(url: str, health: Health, stats: Stats, census: Census) -> None:
    found = census.to_dict()
    click.echo(f"{printable(url)}, {census.now:%Y-%m-%d %H:%M} UTC")
    _title("Health")
    latency = f", {health.latency * 1000:.1f} ms a round trip" if health.latency is not None else ""
    click.echo(f"{'well' if health.ok else 'NOT WELL'}{latency}")
    for finding in health.findings:
        if finding.level != "info":
            click.echo(printable(f"{finding.level}: {finding}"))
    _title("Sessions")
    others = ((f"of kind {kind}", f"{n:,}") for kind, n in stats.sessions.items() if kind != "session")
    mean = census.size // census.sessions if census.sessions else 0
    show_fields(
        [
            ("sessions", f"{census.sessions:,}"),
            ("messages", f"{census.messages:,}"),
            ("size", f"{bytes_text(census.size)}, {bytes_text(mean)} each"),
            ("users", f"{len(census.users):,}"),
            *others,
        ]
    )
    if not census.sessions:
        return
    _title("Growth, by day")
    rows = [(str(day), census.created[day], census.active[day]) for day in census.days]
    most = max(created for _, created, _ in rows)
    show_table(
        ["day", "created", "last active", ""],
        [(day, f"{made:,}", f"{active:,}", _bar(made, most)) for day, made, active in rows],
        right=["created", "last active"],
    )
    for title, classes in (("Expiries", found["expiring"]), ("Sizes", found["sizes"])):
        _title(title)
        _show_classes(classes)
    for title, owners in (("Users with most sessions", found["top_users"]), ("Agents", found["agents"])):
        if owners:
            _title(title)
            _show_classes(owners)
    _title("Largest sessions")
    show_table(
        ["id", "user", "messages", "size", "last activity"],
        [
            (
                each.id,
                each.user_id or "-",
                f"{each.message_count:,}",
                bytes_text(each.size),
                age(each.last_activity, census.now),
            )
            for each in census.largest
        ],
        right=["messages", "size"],
        keep=["messages", "size", "last activity"],
    )


def _show_classes(classes: Mapping[str, int]) -> None:
    most = max(classes.values())
    show_table(
        ["", "sessions", " "],
        [(name, f"{count:,}", _bar(count, most)) for name, count in classes.items()],
        right=["sessions"],
    )


def _bar(value: int, most: int) -> str:
    from miniagent_store.cli.usage import bar

    return bar(value, most)


def _title(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)
