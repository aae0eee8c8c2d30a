"""Streams of events: how many may be open, how long, and that they end when they should."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from miniagent_store import SessionStore
from miniagent_store.web import streaming
from miniagent_store.web.serving import _Server
from miniagent_store.web.streaming import Sent, stream
from tests.web.asking import app_of
from tests.web.served import TOKEN, Viewer, listening


class Endless:
    """A page that streams one event and then nothing; counts those that are open."""

    def __init__(self, store: SessionStore) -> None:
        self.open = 0
        self.app: Starlette = app_of(store)
        self.app.router.routes.append(Route("/endless", self._page))

    async def _page(self, request: Request) -> Response:
        return stream(self._events())

    async def _events(self) -> AsyncGenerator[Sent, None]:
        self.open += 1
        try:
            yield Sent("first", {"line": "a\nb"}, id="1")
            await asyncio.Event().wait()
        finally:
            self.open -= 1


@asynccontextmanager
async def _visitor(viewer: Viewer) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=viewer.origin, limits=limits, timeout=20) as client:
        await client.get(viewer.link)
        yield client


async def _until(what: object, is_so: object) -> None:
    async with asyncio.timeout(20):
        while what() != is_so:  # type: ignore[operator]
            await asyncio.sleep(0.01)


@pytest.fixture
def _two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "VISITOR", 2)
    monkeypatch.setattr(streaming, "ALL", 3)


@pytest.mark.usefixtures("_two")
async def test_nobody_holds_too_many(one: SessionStore) -> None:
    endless = Endless(one)
    async with listening(endless.app) as viewer, AsyncExitStack() as held:
        ada = await held.enter_async_context(_visitor(viewer))
        bob = await held.enter_async_context(_visitor(viewer))

        async def ask(visitor: httpx.AsyncClient) -> httpx.Response:
            return await held.enter_async_context(visitor.stream("GET", "/endless"))

        first = await ask(ada)
        assert (first.status_code, (await ask(ada)).status_code) == (200, 200)
        assert (await ask(ada)).status_code == 429
        assert (await ask(bob)).status_code == 200
        assert (await ask(bob)).status_code == 503
        assert first.headers["content-type"].startswith("text/event-stream")
        # Who closes one may open another.
        await first.aclose()
        await _until(lambda: endless.open, 2)
        assert (await ask(ada)).status_code == 200
    await _until(lambda: endless.open, 0)


async def test_a_stream_ends_by_itself_and_goes_on(
    one: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "LONGEST", 0.05)
    monkeypatch.setattr(streaming, "SILENCE", 0.02)
    endless = Endless(one)
    async with listening(endless.app) as viewer, _visitor(viewer) as visitor:
        answer = await visitor.get("/endless")
        assert answer.text.startswith(
            'retry: 1000\n\nid: 1\nevent: first\ndata: {"line":"a\\nb"}\n\n: here'
        )
        assert endless.open == 0


async def test_streams_end_first_when_the_server_does(
    one: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    endless = Endless(one)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        viewer = Viewer(f"http://127.0.0.1:{taken.getsockname()[1]}")
        server = _Server(endless.app, "")
        serving = asyncio.create_task(server._serve([taken]))
        async with _visitor(viewer) as visitor, visitor.stream("GET", "/endless") as answer:
            lines = answer.aiter_lines()
            assert await anext(lines) == "retry: 1000"
            await _until(lambda: endless.open, 1)
            began = time.monotonic()
            server.should_exit = True
            async for _ in lines:
                pass
            await serving
            assert time.monotonic() - began < 1.5
    assert endless.open == 0
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_a_stream_is_for_who_is_let_in(one: SessionStore) -> None:
    endless = Endless(one)
    async with listening(endless.app) as viewer, httpx.AsyncClient(base_url=viewer.origin) as stranger:
        assert (await stranger.get("/endless")).status_code == 401
        cross = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}
        await stranger.get("/enter", params={"token": TOKEN})
        assert (await stranger.get("/endless", headers=cross)).status_code == 403
    assert endless.open == 0
