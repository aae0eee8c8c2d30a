"""Who gets in: by a link with a token, which is exchanged for a cookie, or as the app around says."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

# Seconds that a cookie is good for.
LASTS = 12 * 3600

Auth = Callable[[Request], Awaitable[str | None]]


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


class Entrance:
    """Lets in who shows the token, or whom `auth` names.

    The cookie is signed with a key made of the token, so that nothing is kept here: it stays good over a
    restart with the same token, and only then.

    Args:
        token: as in the link, ``/enter?token=…``.
        auth: asked instead of looking at the cookie; then there is no link.
    """

    def __init__(self, token: str, auth: Auth | None) -> None:
        self.auth = auth
        self._token = _digest(token)
        self._key = hashlib.sha256(b"miniagent-viewer\0" + token.encode()).digest()
        # Cookies go to all ports of a host: another viewer there, with another token, has another cookie.
        self._cookie = "miniagent-viewer-" + self._signed("name")[:8]

    async def who(self, request: Request) -> str | None:
        """The name of who asks; None if they may not."""
        if self.auth is not None:
            return await self.auth(request)
        return "token" if self._is_good(self._shown(request)) else None

    def visitor(self, request: Request) -> str:
        """Whose browser it is: tells visitors apart that have the same name."""
        return self._signed("visitor", _named(request), self._shown(request))

    def form_token(self, request: Request) -> str:
        """What a form of this visitor holds, and no other site can know; "" for who was not let in."""
        who = _named(request)
        return self._signed("form", who, self._shown(request)) if who else ""

    def is_of_our_form(self, request: Request, given: str) -> bool:
        """Whether a form was one of our pages, made for this visitor."""
        ours = self.form_token(request)
        return bool(ours) and hmac.compare_digest(given.encode(), ours.encode())

    async def enter(self, request: Request) -> Response:
        """``/enter?token=…``: a cookie, and the way to the page; the token does not stay in the address."""
        given = request.query_params.get("token", "")
        # Servers log the address from this very mapping when the answer begins.
        request.scope["query_string"] = b"token=***" if given else b""
        if not hmac.compare_digest(_digest(given), self._token):
            raise HTTPException(
                403,
                "This link is not good any more, or not whole. Take the one that was printed last: each "
                "start makes a new one, unless MINIAGENT_VIEWER_TOKEN sets it.",
            )
        response = RedirectResponse(request.url_for("sessions"), 303)
        until, nonce = str(int(time.time()) + LASTS), secrets.token_urlsafe(12)
        response.set_cookie(
            self._cookie_name(request),
            f"{until}.{nonce}.{self._signed('cookie', until, nonce)}",
            max_age=LASTS,
            path=quote(_root(request)) or "/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    def _cookie_name(self, request: Request) -> str:
        # RFC 6265bis, 4.1.3: browsers take such names only over HTTPS, "__Host-" only for a whole host; no
        # subdomain and no page over plain HTTP can put a cookie of its own in the place of ours.
        if request.url.scheme != "https":
            return self._cookie
        return ("__Secure-" if _root(request) else "__Host-") + self._cookie

    def _shown(self, request: Request) -> str:
        return "" if self.auth is not None else request.cookies.get(self._cookie_name(request), "")

    def _is_good(self, cookie: str) -> bool:
        until, _, rest = cookie.partition(".")
        nonce, _, signature = rest.partition(".")
        if not hmac.compare_digest(signature.encode(), self._signed("cookie", until, nonce).encode()):
            return False
        return int(until) > time.time()

    def _signed(self, purpose: str, *parts: str) -> str:
        # As JSON, so that no two lists of parts are signed alike.
        return hmac.new(self._key, json.dumps([purpose, *parts]).encode(), "sha256").hexdigest()


def _digest(token: str) -> bytes:
    """Of one length for all tokens: comparing tells not even how long the right one is."""
    return hashlib.sha256(token.encode()).digest()


def _named(request: Request) -> str:
    """The name under which the guard has let in who asks; "" if it has not."""
    return str(request.scope.get("state", {}).get("who", ""))


def _root(request: Request) -> str:
    """Where the viewer is mounted, as the guard notes it; "" for the root of its host."""
    return str(request.scope.get("app_root_path", "")).rstrip("/")
