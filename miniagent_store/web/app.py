"""The viewer as an ASGI app: which pages there are, and what stands before them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from miniagent_store.errors import StoreError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.web.entrance import Auth, Entrance, new_token
from miniagent_store.web.failures import failed, refused
from miniagent_store.web.guard import Guard
from miniagent_store.web.hosts import LOOPBACK
from miniagent_store.web.measuring.gauge import Gauges
from miniagent_store.web.pages import (
    act,
    audit,
    compare,
    entries,
    export,
    performance,
    session,
    sessions,
    sessions_live,
    tenants,
)
from miniagent_store.web.rendering import Rendering
from miniagent_store.web.streaming import Streams

STATIC = Path(__file__).parent / "static"


def viewer(
    store: SessionStore,
    *,
    allow_write: bool = False,
    content: bool = True,
    token: str | None = None,
    auth: Auth | None = None,
    hosts: Sequence[str] = LOOPBACK,
) -> Starlette:
    """An app that shows a store, to be served by itself or mounted into another.

    Args:
        store: its owner closes it.
        allow_write: show and take actions that change sessions.
        content: show what was said; without it messages, state and metadata are hidden.
        token: what the link holds by which somebody gets in, and what cookies and forms are signed with;
            random unless given. Where several processes serve, give them the same.
        auth: instead of the link, who may get in: an async function of the request that gives a name, or
            None, or raises starlette's `HTTPException` (303 with a Location, to a page where one signs in).
        hosts: values of the Host header that are answered, without ports; "*" for all, where the app around
            looks at them. Any other is a page of a stranger that had its name point here (DNS rebinding).

    Raises:
        MissingExtraError: the extra ``[web]`` is not installed.
    """
    entrance = Entrance(token or new_token(), auth)
    app = Starlette(
        routes=[
            *([Route("/enter", entrance.enter)] if auth is None else []),
            Route("/", sessions.page, name="sessions"),
            Route("/sessions-live", sessions_live.page, name="sessions_live"),
            Route("/tenants", tenants.page, name="tenants"),
            Route("/session", session.page, name="session"),
            Route("/session-entries", entries.entries, name="session-entries"),
            Route("/session-entry", entries.entry, name="session-entry"),
            Route("/session-live", entries.live, name="session-live"),
            *(act.routes() if allow_write else []),
            Route("/audit", audit.page, name="audit"),
            Route("/compare", compare.page, name="compare"),
            Route("/export", export.page, name="export"),
            Route("/session-entries", entries.entries, name="session-entries"),
            Route("/session-entry", entries.entry, name="session-entry"),
            Route("/session-live", entries.live, name="session-live"),
            Route("/performance", performance.page, name="performance"),
            Route("/performance-live", performance.live, name="performance-live"),
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
        ],
        middleware=[Middleware(Guard, entrance=entrance, hosts=hosts, allow_write=allow_write)],
        exception_handlers={HTTPException: refused, StoreError: failed},
    )
    app.router.redirect_slashes = False
    app.state.store = store
    app.state.entrance = entrance
    app.state.streams = Streams()
    app.state.gauges = Gauges()
    app.state.rendering = Rendering(allow_write=allow_write, content=content)
    return app
