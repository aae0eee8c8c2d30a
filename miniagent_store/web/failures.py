"""Pages for what goes wrong."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError, StoreError
from miniagent_store.web.asked import rendering_of


async def refused(request: Request, error: Exception) -> Response:
    """A page for an `HTTPException`: what is wrong is its detail."""
    assert isinstance(error, HTTPException)
    return failure(request, error.status_code, error.detail, dict(error.headers or {}))


async def failed(request: Request, error: Exception) -> Response:
    """A page for a `StoreError`, whose text holds no secret."""
    if isinstance(error, SessionNotFoundError):
        return failure(request, 404, str(error))
    if isinstance(error, InvalidArgumentError):
        return failure(request, 400, str(error))
    return failure(request, 503 if isinstance(error, StoreError) else 500, str(error))


def failure(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """A page that says what is wrong.

    Args:
        request: which cannot be answered.
        status: of HTTP.
        detail: what is wrong, and what to do.
        headers: besides.
    """
    response = rendering_of(request).page(
        request, "failure.html", status=status, title=HTTPStatus(status).phrase, detail=detail
    )
    response.status_code = status
    response.headers.update(headers or {})
    return response
