"""``miniagent-store usage``: who used how much, and when."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import emit_json, show_table
from miniagent_store.cli.settings import json_option, store_options, with_store

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.usage_report import Usage, UsageReport

BAR = 24
_EIGHTHS = " ▏▎▍▌▋▊▉"
NUMBERS = ("messages", "turns", "input", "output", "tokens")


@click.command(
    "usage",
    short_help="Show messages, turns and tokens by day and user.",
    epilog="""\b
Examples:
  miniagent-store usage
  miniagent-store usage --user ada --since 2030-01-01
  miniagent-store usage --json | jq .total

Counted by stores that are opened with analytics=true. Days are UTC.""",
)
@click.option("--user", metavar="ID", help="Only this user's.")
@click.option("--since", metavar="DAY", help="From this day on, such as 2030-01-31.")
@click.option("--until", metavar="DAY", help="Up to this day.")
@json_option
@store_options()
def command(user: str | None, since: str | None, until: str | None, as_json: bool) -> None:
    """Show messages, turns and tokens, by day and by user."""

    async def read(store: SessionStore) -> UsageReport:
        return await store.usage(user, since=since, until=until)

    report = with_store(read)
    if as_json:
        emit_json(report.to_dict())
        return
    if not report.rows:
        click.echo("no usage; open the store with analytics=true to have it counted", err=True)
        return
    show_usage("day", ((day.isoformat(), usage) for day, usage in report.by_day.items()))
    if user is None:
        click.echo()
        show_usage("user", ((name or "-", usage) for name, usage in report.by_user.items()))
    click.echo()
    show_usage("total", [("", report.total)])


def show_usage(what: str, rows: Iterable[tuple[str, Usage]]) -> None:
    """Print a table; on a terminal with bars, of tokens where there are any, else of messages."""
    told = list(rows)
    weights = [usage.tokens for _, usage in told]
    measured = "tokens" if any(weights) else "messages"
    most = max(getattr(usage, measured) for _, usage in told)
    bars = sys.stdout.isatty() and len(told) > 1
    show_table(
        [what, *NUMBERS, *(("",) if bars else ())],
        [
            (
                name,
                *(f"{number:,}" for number in _numbers(usage)),
                *((bar(getattr(usage, measured), most),) if bars else ()),
            )
            for name, usage in told
        ],
        right=NUMBERS,
        keep=NUMBERS,
    )


def bar(value: int, most: int, width: int = BAR) -> str:
    """A bar of up to `width` characters, in eighths of one.

    Example:
        >>> bar(4, 8, width=4), bar(0, 8), bar(1, 64, width=4)
        ('██', '', '▏')
    """
    eighths = max(round(value / most * width * 8), 1) if value and most else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _numbers(usage: Usage) -> tuple[int, ...]:
    return usage.messages, usage.turns, usage.input_tokens, usage.output_tokens, usage.tokens
