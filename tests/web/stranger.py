"""Somebody else's page, on another port of this machine."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from tests.web.served import run


@asynccontextmanager
async def stranger(html: str) -> AsyncIterator[int]:
    """A server that answers everything with one page: its port.

    As ``127.0.0.1`` it is of the viewer's site, which is the worst a stranger can be; as ``localhost`` it is not.

    Args:
        html: with what it attacks.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await HTMLResponse(html)(scope, receive, send)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with run(uvicorn.Config(app, log_level="error", lifespan="off"), listening):
            yield listening.getsockname()[1]
