"""Events from the server to a page, as they happen (Server-Sent Events, WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

# Proxies close what is silent for a minute, most of them.
SILENCE = 15.0
# How long a browser waits before it comes again, milliseconds.
RETRY = 1000
# Seconds after which the browser must come again, and is asked again who it is.
LONGEST = 3600.0
# Open at once: of one visitor, and of all.
VISITOR, ALL = 24, 400


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


class Streams:
    """All streams that are open, so that nobody holds too many, and that they end when the server does."""

    def __init__(self) -> None:
        self._open = Counter[str]()
        self._ended = asyncio.Event()

    def end(self) -> None:
        """End them, and any that begin later; browsers come again, to whoever answers then."""
        self._ended.set()

    @contextmanager
    def one_more(self, visitor: str) -> Iterator[asyncio.Event]:
        """Count one while it is open; what is given is set when it must end.

        Raises:
            HTTPException: 429, this visitor has too many; 503, all together have.
        """
        if self._open[visitor] >= VISITOR:
            raise HTTPException(429, "Too many pages of yours are live at once; close some.")
        if self._open.total() >= ALL:
            raise HTTPException(503, "Too many pages are live at once; come again later.")
        self._open[visitor] += 1
        try:
            yield self._ended
        finally:
            self._open[visitor] -= 1
            self._open += Counter()  # forgets who has none


class EventStream(StreamingResponse):
    """Events until they end, the visitor leaves, or the server stops.

    Args:
        events: closed when nobody listens any more.
    """

    def __init__(self, events: AsyncGenerator[Sent, None]) -> None:
        self._events = events
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(_nothing(), media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As any response; an `HTTPException` where too many are open."""
        request = Request(scope)
        async with aclosing(self._events):
            if request.method == "HEAD":
                await Response(headers=self.headers, media_type=self.media_type)(scope, receive, send)
                return
            with request.app.state.streams.one_more(request.app.state.entrance.visitor(request)) as ended:
                # As an attribute of the base class, whose type is another one.
                vars(self)["body_iterator"] = _lines(self._events, ended)
                await super().__call__(_listening(scope), receive, send)


def stream(events: AsyncGenerator[Sent, None]) -> StreamingResponse:
    """Sends events until they end or the visitor leaves.

    Args:
        events: closed when nobody listens any more.
    """
    return EventStream(events)


def last_id(request: Request) -> str | None:
    """Where a stream that was cut goes on: what the browser says, or ``after=`` at first."""
    return request.headers.get("last-event-id") or request.query_params.get("after") or None


def _listening(scope: Scope) -> Scope:
    """So that it is seen at once that a visitor left.

    Told of ASGI 2.4 or later, starlette does not listen, and fails only at what is sent next.
    """
    return {**scope, "asgi": {**scope.get("asgi", {}), "spec_version": "2.0"}}


async def _nothing() -> AsyncIterator[bytes]:
    for _ in ():
        yield b""


async def _lines(events: AsyncGenerator[Sent, None], ended: asyncio.Event) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY}\n\n".encode()
    until = time.monotonic() + LONGEST
    stop = asyncio.ensure_future(ended.wait())
    coming: asyncio.Task[Sent] | None = None
    try:
        while not ended.is_set() and time.monotonic() < until:
            coming = coming or asyncio.ensure_future(anext(events))
            await asyncio.wait({coming, stop}, timeout=SILENCE, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                yield b": here\n\n"
                continue
            try:
                sent = coming.result()
            except StopAsyncIteration:
                return
            coming = None
            yield sent.encoded()
    finally:
        stop.cancel()
        if coming is not None:
            coming.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await coming
