"""Somebody else's page, on another port of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from tests.web.served import listening


@asynccontextmanager
async def stranger(html: str) -> AsyncIterator[int]:
    """A server that answers everything with one page: its port.

    As ``127.0.0.1`` it is of the viewer's site, the worst a stranger can be; as ``localhost`` it is not.

    Args:
        html: with what it attacks.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await HTMLResponse(html)(scope, receive, send)

    async with listening(app) as answering:
        yield int(answering.origin.rpartition(":")[2])
