"""An act: a page that says what it does and asks, and the form of it that does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from miniagent_store.errors import (
    DurabilityError,
    InvalidArgumentError,
    OutcomeUnknownError,
    SessionExistsError,
)
from miniagent_store.web.acting.keeping import LASTS
from miniagent_store.web.acting.kind import AskAgainError, Asking, Kind, asking, taken
from miniagent_store.web.acting.kinds import KINDS
from miniagent_store.web.asked import rendering_of, store_of
from miniagent_store.web.links import linking


def routes() -> list[Route]:
    """A route an act; only where acts are allowed."""
    return [
        Route(f"/act/{kind.name}", _endpoint(kind), methods=["GET", "POST"], name=f"act-{kind.name}")
        for kind in KINDS
    ]


def _endpoint(kind: Kind) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        if request.method == "POST":
            return await _done(request, kind, request.state.form)
        return await _asked(request, kind, await _asking(request, kind, request.query_params))

    return page


async def _asking(request: Request, kind: Kind, fields: Mapping[str, str]) -> Asking:
    return await asking(
        kind,
        store_of(request),
        fields,
        who=request.state.who,
        where=request.client.host if request.client else "",
        content=rendering_of(request).content,
    )


async def _done(request: Request, kind: Kind, fields: Mapping[str, str]) -> Response:
    asked = await _asking(request, kind, fields)
    try:
        await kind.do(asked)
    except AskAgainError as error:
        # What goes is told anew, from the session as it is now.
        asked = await _asking(request, kind, fields)
        return await _asked(request, kind, asked, problem=str(error), allow=error.allow, status=409)
    except InvalidArgumentError as error:
        return await _asked(request, kind, asked, problem=str(error), status=400)
    except SessionExistsError as error:
        return await _asked(request, kind, asked, problem=taken(error), status=409)
    except (OutcomeUnknownError, DurabilityError):
        # It may have been done. The log of acts says so, and has the way back.
        pass
    # Seen by a GET, so that nobody acts twice by loading the page again.
    return RedirectResponse(linking(request)("audit", id=asked.session_id, done=kind.name), 303)


async def _asked(
    request: Request, kind: Kind, asked: Asking, *, problem: str = "", allow: str = "", status: int = 200
) -> Response:
    told, answer = None, asked.fields
    try:
        told = await kind.told(asked)
    except InvalidArgumentError as error:
        problem, status = problem or str(error), 400
    response = rendering_of(request).page(
        request,
        "act.html",
        kind=kind,
        session_id=asked.session_id,
        session=asked.session,
        told=told,
        fields=answer,
        problem=problem,
        allow=allow,
        minutes=int(LASTS.total_seconds() // 60),
    )
    response.status_code = status
    return response
