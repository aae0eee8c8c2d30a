"""Pages for what goes wrong: what it is and what to do, and nothing of how this works inside."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from miniagent_store.errors import (
    AccessDeniedError,
    CapacityError,
    ConfigurationError,
    FencedError,
    IdempotencyConflictError,
    InvalidArgumentError,
    LockLostError,
    LockTimeoutError,
    RateLimitedError,
    SessionExistsError,
    SessionNotFoundError,
    SessionTooLargeError,
    StoreClosedError,
    StoreError,
    TenantLimitError,
    VersionConflictError,
    VetoedError,
)
from miniagent_store.url import redact_text
from miniagent_store.web.asked import rendering_of
from miniagent_store.web.origins import AGAIN, tells_origin

# The first that fits.
_STATUS: tuple[tuple[type[StoreError], int], ...] = (
    (SessionNotFoundError, 404),
    (InvalidArgumentError, 400),
    (ConfigurationError, 400),
    (SessionTooLargeError, 400),
    (VetoedError, 403),
    (VersionConflictError, 409),
    (SessionExistsError, 409),
    (IdempotencyConflictError, 409),
    (FencedError, 409),
    (LockTimeoutError, 409),
    (LockLostError, 409),
    (RateLimitedError, 429),
    (TenantLimitError, 429),
    (AccessDeniedError, 503),
    (CapacityError, 503),
    (StoreClosedError, 503),
)
# What starlette itself says is no more than the name of the status.
_OTHERWISE = {
    400: "This address holds something that cannot be read.",
    404: "There is no such page here. The address may be cut, or of another version.",
    405: "This page cannot be asked in this way; go back and use its buttons.",
}
_TITLES = {401: "Come in by the link", 421: "Not under this name", 500: "This went wrong"}
BROKEN = (
    "The viewer itself failed at this, and its log says why. Loading the page again may help; if it does "
    "not, this is a mistake in the viewer that its makers want to know of."
)


async def refused(request: Request, error: Exception) -> Response:
    """A page for an `HTTPException`: what is wrong is its detail."""
    return shown(request, error)


async def failed(request: Request, error: Exception) -> Response:
    """A page for a `StoreError`, whose text holds no secret."""
    return shown(request, error)


def shown(request: Request, error: Exception) -> Response:
    """A page for anything that was raised; what nobody foresaw is not told."""
    if isinstance(error, HTTPException):
        detail = error.detail
        if detail == HTTPStatus(error.status_code).phrase:
            detail = _OTHERWISE.get(error.status_code, detail)
        return failure(request, error.status_code, detail, dict(error.headers or {}))
    if isinstance(error, StoreError):
        return failure(
            request, status_of(error), str(error), {"Retry-After": "5"} if error.retryable else None
        )
    return failure(request, 500, BROKEN)


def status_of(error: StoreError) -> int:
    """The status of HTTP that an error of the store is told with."""
    otherwise = 503 if error.retryable else 500
    return next((status for kind, status in _STATUS if isinstance(error, kind)), otherwise)


def failure(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """A page that says what is wrong.

    Args:
        request: which cannot be answered.
        status: of HTTP.
        detail: what is wrong, and what to do.
        headers: besides.
    """
    response = rendering_of(request).page(
        request,
        "failure.html",
        status=status,
        title=_TITLES.get(status, HTTPStatus(status).phrase),
        detail=redact_text(detail),
        again=None,
    )
    response.status_code = status
    response.headers.update(headers or {})
    return response


def knock(request: Request) -> Response:
    """A page that loads itself again, once.

    Who follows a link on another site's page comes without the cookie, since it is a strict one; what our
    own page asks for comes with it. No other page can see or do anything by that.
    """
    response = rendering_of(request).page(
        request,
        "failure.html",
        status=401,
        title="One moment",
        detail="Looking who you are …",
        again="" if tells_origin(request) else _address(request, AGAIN),
    )
    response.status_code = 401
    return response


def _address(request: Request, mark: str) -> str:
    """What was asked for, with a mark in its query, on this host whatever its path begins with."""
    path, query = quote(request.url.path, safe="/%"), request.url.query
    return f"/{path.lstrip('/')}?{query + '&' if query else ''}{mark}=1"
