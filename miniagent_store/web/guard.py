"""What stands before every page: which host is asked, who asks, from where, and headers of safety."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from miniagent_store.web.entrance import Entrance
from miniagent_store.web.failures import knock, shown
from miniagent_store.web.forms import again, body_of, fields_of
from miniagent_store.web.hosts import Hosts
from miniagent_store.web.origins import SAFE, followed_a_link, is_from_elsewhere

# Where a script sends what a form holds as its field "form".
FORM_HEADER = "X-Form"
# Nothing from elsewhere, nothing inline; pictures of messages come as data.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # Not "no-referrer": with it, browsers hide where our own forms come from.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
WHO_YOU_ARE = (
    "Open the link that was printed when the viewer was started; it lets you in for 12 hours. "
    "A viewer that was started again has printed a new one."
)
READ_ONLY = "This viewer only reads. Started with --allow-write it takes actions too."

MISDIRECTED = (
    "This viewer is not served under this name. Open it by the address that was printed, or start it with "
    "--allow-host NAME (in an app of yours: hosts=)."
)
FROM_ELSEWHERE = "Another site's page asked for this. Open the viewer in a tab of its own."
STALE_FORM = "This form is not good any more. Go back, load the page again, and repeat it."

_log = logging.getLogger("miniagent_store.web")


class Guard:
    """Refuses before any page is asked, and makes a page of whatever goes wrong.

    Args:
        app: the pages.
        entrance: who may get in.
        hosts: which are served.
        allow_write: whether anything but reading is let through.
    """

    def __init__(
        self, app: ASGIApp, *, entrance: Entrance, hosts: Sequence[str], allow_write: bool
    ) -> None:
        self._app, self._entrance, self._hosts = app, entrance, Hosts(hosts)
        self._allow_write = allow_write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            # No page has one.
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Addresses are made from here on down, not by the app around, whose pages may have the same names.
        root = scope.get("root_path", "")
        scope["app_root_path"], scope["router"] = root, scope["app"].router
        scope["state"] = {**scope.get("state", {}), "who": "", "form": {}}
        request = Request(scope, receive)
        path = _below(root, scope["path"])
        started = False

        async def send_safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _make_safe(message, request, may_keep=path.startswith("/static/"))
            await send(message)

        try:
            receive = await self._let_in(request, path)
            await self._app(scope, receive, send_safely)
        except Exception as error:
            # Not raised: an app around would make a page of its own of it, perhaps with a traceback.
            if started:
                raise
            if not isinstance(error, HTTPException):
                _log.exception("%s %r failed", request.method, scope["path"])
            await _page_of(request, error)(scope, receive, send_safely)

    async def _let_in(self, request: Request, path: str) -> Receive:
        """What the page may receive.

        Raises:
            HTTPException: it may not be asked.
        """
        if not self._hosts.serve(request.headers.getlist("host")):
            raise HTTPException(421, MISDIRECTED)
        if is_from_elsewhere(request):
            raise HTTPException(403, FROM_ELSEWHERE)
        if "\0" in path:
            # No page and no file has one, and not all that look for files can take it.
            raise HTTPException(404)
        if path.startswith("/static/") or (path == "/enter" and self._entrance.auth is None):
            return request.receive
        who = await self._entrance.who(request)
        if not who:
            raise HTTPException(401, WHO_YOU_ARE)
        request.scope["state"]["who"] = who
        if request.method in SAFE:
            return request.receive
        if not self._allow_write:
            raise HTTPException(403, READ_ONLY)
        body = await body_of(request)
        fields = fields_of(request, body)
        given = request.headers.get(FORM_HEADER) or fields.get("form", "")
        if not self._entrance.is_of_our_form(request, given):
            raise HTTPException(403, STALE_FORM)
        request.scope["state"]["form"] = fields
        return again(body, request.receive)


def _page_of(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 401 and followed_a_link(request):
        return knock(request)
    return shown(request, error)


def _make_safe(start: Message, request: Request, *, may_keep: bool) -> None:
    """Put the headers of safety into the beginning of an answer.

    Args:
        start: which is changed.
        request: what is answered.
        may_keep: a browser may keep it, if it asks each time whether it is still so.
    """
    headers = MutableHeaders(scope=start)
    headers.update(HEADERS)
    headers.setdefault("Cache-Control", "no-cache" if may_keep else "no-store")
    # To our own pages without the host and scheme, which a proxy in front may know better.
    if "location" in headers:
        where = headers["location"].removeprefix(f"{request.url.scheme}://{request.url.netloc}")
        if where.startswith("/") and not where.startswith(("//", "/\\")):
            headers["location"] = where


def _below(root: str, path: str) -> str:
    """The part of a path below where this is mounted, as starlette's routes see it."""
    return path[len(root) :] if root and path.startswith(root + "/") else path
