"""Shows an app below a path, where a proxy in front does."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class Below:
    """An app below a path, whether the proxy leaves that path in the address or takes it off.

    Args:
        root: such as "/sessions", without a slash at the end.
        app: which.
    """

    def __init__(self, root: str, app: ASGIApp) -> None:
        self._root, self._app = root, app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            path = scope["path"]
            if path == self._root:
                path += "/"
            elif not path.startswith(self._root + "/"):
                path = self._root + path
            # The same mapping, of which the server logs the address.
            scope["path"], scope["root_path"] = path, self._root
        await self._app(scope, receive, send)
