"""All sessions, page by page."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

PAGE = 50


async def page(request: Request) -> Response:
    """A table of sessions, newest activity first; ``cursor=`` is the page after, as a page before gave it."""
    asked = request.query_params
    filters = {name: asked[name] for name in ("user_id", "agent") if asked.get(name)}
    found = await request.app.state.store.list(**filters, cursor=asked.get("cursor") or None, limit=PAGE)
    return request.app.state.rendering.page(request, "sessions.html", page=found, filters=filters)
