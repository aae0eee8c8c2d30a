"""``miniagent-store top``: what happens in a store, as it happens."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import emit_json
from miniagent_store.cli.settings import opened_store, store_options

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore


@click.command(
    "top",
    short_help="Watch what happens in a store.",
    epilog="""\b
Examples:
  miniagent-store top
  miniagent-store top --every 5 --lines 30
  miniagent-store top --once                 one frame, for a log or a mail
  miniagent-store top --once --json

Keys: q quits, so does Ctrl-C.

Commits are those of all processes on the store; latencies are of reads from here. Nothing is written.""",
)
@click.option(
    "--every",
    type=click.FloatRange(0.2, 60),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two frames.",
)
@click.option(
    "--lines",
    type=click.IntRange(1, 100),
    default=15,
    show_default=True,
    metavar="N",
    help="Sessions that are shown.",
)
@click.option("--once", is_flag=True, help="Print one frame, after --every seconds, and end.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print one JSON document.")
@store_options()
def command(every: float, lines: int, once: bool, as_json: bool) -> None:
    """Watch a store: rates of commits, latencies, the busiest sessions, what expires."""
    if as_json and not once:
        raise click.UsageError("--json is for one frame: add --once.")
    if not once and not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise click.UsageError("there is no terminal to show it on: add --once.")
    with opened_store() as opened:
        if once:
            opened.run(_print_one(opened.store, every, lines, as_json))
        else:
            from miniagent_store.cli.top.live import show

            opened.run(show(opened.store, every, lines))


async def _print_one(store: SessionStore, every: float, lines: int, as_json: bool) -> None:
    import asyncio

    from miniagent_store.cli.output import show_stripped
    from miniagent_store.cli.top.screen import drawn
    from miniagent_store.measuring.watcher import Watcher

    async with Watcher(store, lines) as watcher:
        await watcher.look()
        await asyncio.sleep(every)
        frame = await watcher.look()
    if as_json:
        emit_json(frame.to_dict())
    else:
        show_stripped(drawn(frame))
