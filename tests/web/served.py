"""The viewer, served for a test: in the test's own loop, or as the command does it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from miniagent_store.store.protocol import SessionStore
from miniagent_store.web import viewer

TOKEN = "let-me-in-and-nobody-else"


@dataclass(frozen=True)
class Viewer:
    """Where a viewer answers."""

    origin: str
    process: subprocess.Popen[str] | None = None

    @property
    def link(self) -> str:
        """The one that lets in."""
        return f"{self.origin}/enter?token={TOKEN}"

    def kill(self) -> None:
        """End its process at once, with nothing said to anybody."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@asynccontextmanager
async def served(store: SessionStore, **options: Any) -> AsyncIterator[Viewer]:
    """The viewer of a store, on a free port, in this loop.

    Args:
        store: which.
        options: of `viewer`.
    """
    async with listening(viewer(store, **{"token": TOKEN, **options})) as answering:
        yield answering


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[Viewer]:
    """Any app, on a free port, in this loop."""
    config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = uvicorn.Server(config)
        running = asyncio.create_task(server._serve([taken]))
        try:
            yield Viewer(f"http://127.0.0.1:{taken.getsockname()[1]}")
        finally:
            server.should_exit = True
            await running


@contextmanager
def command(url: str, *arguments: str) -> Iterator[Viewer]:
    """``miniagent-store web`` as a process, on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "miniagent_store", "--store", url, "web", "--port", "0", *arguments],
        env={**os.environ, "MINIAGENT_VIEWER_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        assert link.endswith(TOKEN), link
        yield Viewer(link.partition("/enter")[0], process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
