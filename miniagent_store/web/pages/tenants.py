"""The tenants of the store, or of the tenant that is looked at: where to switch to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from miniagent_store.errors import ConfigurationError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.web.asked import rendering_of, store_of
from miniagent_store.web.tenant import WITHIN, tenant_of

# Tenants on a page, whose numbers are asked one by one.
PAGE = 50


@dataclass(frozen=True, slots=True)
class Line:
    """A tenant.

    Attributes:
        name: within its store.
        path: as an address has it.
        sessions, messages: how many, as texts.
    """

    name: str
    path: str
    sessions: str
    messages: str


async def page(request: Request) -> Response:
    """Tenants by name, those behind ``after=`` that hold the text ``q=``."""
    store, tenant = store_of(request), tenant_of(request)
    text, after = request.query_params.get("q", "").strip(), request.query_params.get("after", "")
    names: list[str] = []
    problem = None
    try:
        names = await store.tenants()
    except ConfigurationError as error:
        problem = str(error)
    like = [name for name in names if text.casefold() in name.casefold()]
    behind = [name for name in like if name > after]
    own, *shown = await asyncio.gather(
        _line(store, "", tenant),
        *(
            _line(store.tenant(name), name, WITHIN.join(filter(None, (tenant, name))))
            for name in behind[:PAGE]
        ),
    )
    return rendering_of(request).page(
        request,
        "tenants.html",
        own=own,
        shown=shown,
        above=tenant.rpartition(WITHIN)[0],
        more=len(behind) > PAGE,
        total=len(like),
        text=text,
        after=after,
        problem=problem,
    )


async def _line(view: SessionStore, name: str, path: str) -> Line:
    stats = await view.stats()
    if stats.problem is not None:
        return Line(name, path, "–", "–")
    return Line(name, path, f"{stats.sessions.get('session', 0):,}", f"{stats.messages:,}")
