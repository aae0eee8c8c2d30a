"""Frame after frame on a terminal, until a key or Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from miniagent_store.cli.output import console
from miniagent_store.cli.top.screen import drawn
from miniagent_store.measuring.watcher import Watcher

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore

QUIT = frozenset({"", "q", "Q", "\x1b"})


async def show(store: SessionStore, every: float, lines: int) -> None:
    """Show frames until somebody presses q.

    Args:
        store: which.
        every: seconds between two frames.
        lines: sessions of each.
    """
    quitting = asyncio.Event()
    with _keys(quitting), Live(console=console(), screen=True, auto_refresh=False) as live:
        live.update(Text("looking…", style="dim"), refresh=True)
        async with Watcher(store, lines) as watcher:
            while not quitting.is_set():
                live.update(drawn(await watcher.look()), refresh=True)
                with suppress(TimeoutError):
                    async with asyncio.timeout(every):
                        await quitting.wait()


@contextmanager
def _keys(quitting: asyncio.Event) -> Iterator[None]:
    """Single keys instead of lines, while it lasts."""
    import termios
    import tty

    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(stdin)

    def press() -> None:
        typed = os.read(stdin, 64).decode(errors="replace")
        # Nothing is what a closed terminal gives; Escape and more is an arrow.
        if typed in QUIT:
            quitting.set()

    tty.setcbreak(stdin)
    loop.add_reader(stdin, press)
    try:
        yield
    finally:
        loop.remove_reader(stdin)
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
