"""Events from the server to a page, as they happen (Server-Sent Events, WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse

# Proxies close what is silent for a minute, most of them.
SILENCE = 15.0
# How long a browser waits before it comes again, milliseconds.
RETRY = 1000


@dataclass(frozen=True, slots=True)
class Sent:
    """One event of a page.

    Attributes:
        event: its name, for `addEventListener`.
        data: plain values, sent as JSON.
        id: what the browser gives as ``Last-Event-ID`` when it comes again; None to leave the last.
    """

    event: str
    data: Any
    id: str | None = None

    def encoded(self) -> bytes:
        """As a stream holds it. JSON has no raw line ends, so that one line of data is enough."""
        lines = [f"event: {self.event}", f"data: {json.dumps(self.data, separators=(',', ':'))}"]
        if self.id is not None:
            lines.insert(0, f"id: {self.id}")
        return ("\n".join(lines) + "\n\n").encode()


def stream(events: AsyncGenerator[Sent, None]) -> StreamingResponse:
    """Sends events until they end or the visitor leaves.

    Args:
        events: closed when nobody listens any more.
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_lines(events), media_type="text/event-stream", headers=headers)


def last_id(request: Request) -> str | None:
    """Where a stream that was cut goes on: what the browser says, or ``after=`` at first."""
    return request.headers.get("last-event-id") or request.query_params.get("after") or None


async def _lines(events: AsyncGenerator[Sent, None]) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY}\n\n".encode()
    async with aclosing(events):
        coming: asyncio.Task[Sent] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(events))
                done, _ = await asyncio.wait({coming}, timeout=SILENCE)
                if not done:
                    yield b": here\n\n"
                    continue
                try:
                    sent = coming.result()
                except StopAsyncIteration:
                    return
                coming = None
                yield sent.encoded()
        finally:
            if coming is not None:
                coming.cancel()
                with suppress(asyncio.CancelledError, StopAsyncIteration):
                    await coming
