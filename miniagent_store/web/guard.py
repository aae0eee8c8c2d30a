"""What stands before every page: which host is asked, who asks, and headers of safety."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from miniagent_store.web.entrance import Entrance

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
# Nothing from elsewhere, nothing inline; pictures of messages come as data.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses before any page is asked.

    Args:
        app: the pages.
        entrance: who may get in.
        hosts: values of Host without a port; "*" for all.
    """

    def __init__(self, app: ASGIApp, *, entrance: Entrance, hosts: Sequence[str]) -> None:
        self._app, self._entrance, self._hosts = app, entrance, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope)
        refusal = await self._refusal(request)
        await (refusal or self._app)(scope, receive, send_safely)

    async def _refusal(self, request: Request) -> Response | None:
        if "*" not in self._hosts and _name_of(request.headers.get("host", "")) not in self._hosts:
            return PlainTextResponse("This host is not served; see --host.", 421)
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        if path == "/enter" or path.startswith("/static/"):
            return None
        who = await self._entrance.who(request)
        if who is None:
            return PlainTextResponse("Open the link that was printed when this was started.", 401)
        request.scope["state"] = {**request.scope.get("state", {}), "who": who}
        return None


def _name_of(host: str) -> str:
    """A Host header without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()
