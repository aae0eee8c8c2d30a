"""What the app around a request holds."""

from __future__ import annotations

from starlette.requests import Request

from miniagent_store.store.protocol import SessionStore
from miniagent_store.web.entrance import Entrance
from miniagent_store.web.rendering import Rendering
from miniagent_store.web.tenant import view_of


def store_of(request: Request) -> SessionStore:
    """The store that is shown: with ``tenant=`` in the address, that tenant's view of it.

    Raises:
        InvalidArgumentError: no tenant can be called so.
    """
    store: SessionStore = request.app.state.store
    return view_of(store, request.query_params.get("tenant", ""))


def rendering_of(request: Request) -> Rendering:
    """What makes pages of it."""
    rendering: Rendering = request.app.state.rendering
    return rendering


def entrance_of(request: Request) -> Entrance:
    """Who gets in, and which forms are ours."""
    entrance: Entrance = request.app.state.entrance
    return entrance
