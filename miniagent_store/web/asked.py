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


def who_of(request: Request) -> str:
    """The name of who asks: "token", or as the app around calls them."""
    who: str = request.state.who
    return who


def form_of(request: Request) -> dict[str, str]:
    """The fields of the form that was sent, which the guard has found to be one of ours."""
    form: dict[str, str] = request.state.form
    return form
