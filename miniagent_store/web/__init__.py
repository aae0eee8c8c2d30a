"""The viewer: sessions and conversations in a browser.

    miniagent-store web                         # prints a link
    app.mount("/sessions", viewer(store, auth=who_may))    # or within an application of yours

It needs the extra ``[web]``. Pages are made on the server; it asks no other host for anything, and shows
what a store's public calls give: it works on any backend.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from miniagent_store.errors import MissingExtraError

if TYPE_CHECKING:
    from miniagent_store.web.app import viewer
    from miniagent_store.web.entrance import new_token
    from miniagent_store.web.serving import Serving, serve

__all__ = ["Serving", "new_token", "serve", "viewer"]

_HOMES = {"viewer": "app", "new_token": "entrance", "serve": "serving", "Serving": "serving"}
# Module and distribution of each package of the extra.
_EXTRA = {
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "jinja2": "jinja2",
    "markdown_it": "markdown-it-py",
    "nh3": "nh3",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        package = _EXTRA.get((error.name or "").partition(".")[0])
        if package is None:
            raise
        raise MissingExtraError("the viewer", package=package, extra="web") from error
