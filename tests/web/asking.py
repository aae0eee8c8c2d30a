"""The viewer as an app, asked without a browser and without a socket."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from miniagent_store import SessionStore
from miniagent_store.web import viewer
from miniagent_store.web.asked import form_of, store_of, who_of
from tests.web.served import TOKEN

ORIGIN = "http://localhost"


def app_of(store: SessionStore, **options: Any) -> Starlette:
    """The viewer and pages of tests: ``/act-of-tests`` makes the session ``id=``, ``/fails`` fails."""
    app = viewer(store, **{"token": TOKEN, **options})
    app.router.routes += [
        Route("/act-of-tests", _act, methods=["POST"], name="act-of-tests"),
        Route("/form-token", _tell),
        Route("/fails", _fails),
    ]
    return app


@asynccontextmanager
async def asking(
    app: Any, *, origin: str = ORIGIN, enter: str | None = "/enter", headers: dict[str, str] | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app that has shown the token.

    Args:
        app: the viewer, or one around it.
        origin: by which it is asked.
        enter: where the token is shown; None to stay outside.
        headers: with each request.
    """
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=origin, headers=headers) as client:
        if enter is not None:
            answer = await client.get(enter, params={"token": TOKEN})
            assert answer.status_code == 303, answer.text
        yield client


async def form_token(client: httpx.AsyncClient) -> str:
    """What a form of this visitor holds, as a page would have it."""
    answer = await client.get("form-token")
    assert re.fullmatch("[0-9a-f]{64}", answer.text), answer.text
    return answer.text


async def _tell(request: Request) -> Response:
    return PlainTextResponse(request.app.state.entrance.form_token(request))


async def _act(request: Request) -> Response:
    sent = await request.body()
    session = await store_of(request).create(form_of(request)["id"], metadata={"who": who_of(request)})
    return PlainTextResponse(f"{session.id} of {len(sent)}")


async def _fails(request: Request) -> Response:
    raise RuntimeError("sesame-in-a-traceback")
