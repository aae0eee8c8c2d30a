"""The viewer: sessions and conversations in a browser.

    miniagent-store web                         # prints a link
    app.mount("/sessions", viewer(store, auth=who_may))    # or within an application of yours

It needs the extra ``[web]``. Pages are made on the server; it asks no other host for anything, and shows
what a store's public calls give: it works on any backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniagent_store.web.app import viewer
    from miniagent_store.web.entrance import new_token

__all__ = ["new_token", "viewer"]


def __getattr__(name: str) -> Any:
    if name == "viewer":
        from miniagent_store.web.app import viewer

        return viewer
    if name == "new_token":
        from miniagent_store.web.entrance import new_token

        return new_token
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
