"""Who gets in: by a link with a token, which is exchanged for a cookie, or as the app around says."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

COOKIE = "miniagent-viewer"
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
        auth: asked instead of looking at the cookie.
    """

    def __init__(self, token: str, auth: Auth | None) -> None:
        self.token, self._auth = token, auth
        self._key = hashlib.sha256(b"miniagent-viewer\0" + token.encode()).digest()

    async def who(self, request: Request) -> str | None:
        """The name of who asks; None if they may not."""
        if self._auth is not None:
            return await self._auth(request)
        return "token" if self._is_good(request.cookies.get(COOKIE, "")) else None

    def form_token(self, request: Request) -> str:
        """What a form of this visitor holds, and no other site can know."""
        return self._signed("form." + request.cookies.get(COOKIE, ""))

    def is_of_our_form(self, request: Request, given: str) -> bool:
        """Whether a form was one of our pages, made for this visitor."""
        return hmac.compare_digest(given.encode(), self.form_token(request).encode())

    async def enter(self, request: Request) -> Response:
        """``/enter?token=…``: a cookie, and the way to the page; the token does not stay in the address."""
        if not hmac.compare_digest(request.query_params.get("token", "").encode(), self.token.encode()):
            return PlainTextResponse(
                "This link is not good any more; take the one that was printed last.", 403
            )
        response = RedirectResponse(request.url_for("sessions"), 303)
        until = str(int(time.time()) + LASTS)
        response.set_cookie(
            COOKIE,
            f"{until}.{self._signed(until)}",
            max_age=LASTS,
            path=request.scope.get("root_path") or "/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    def _is_good(self, cookie: str) -> bool:
        until, _, signature = cookie.partition(".")
        if not hmac.compare_digest(signature.encode(), self._signed(until).encode()):
            return False
        return int(until) > time.time()

    def _signed(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()
