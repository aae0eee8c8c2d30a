"""Whether a page of somebody else is behind a request: what browsers say about where it comes from.

Other ports of this machine count as the same site, so that even a cookie with SameSite=Strict goes with
what their pages ask. Sec-Fetch-Site (W3C, Fetch Metadata) and Origin (RFC 6454) tell them apart; no script
can set either.
"""

from __future__ import annotations

from starlette.requests import Request

SAFE = frozenset({"GET", "HEAD"})
_OURS = frozenset({"same-origin", "none"})


def is_from_elsewhere(request: Request) -> bool:
    """Whether another site has its visitor's browser ask for this."""
    site = request.headers.get("sec-fetch-site", "none")
    if request.method in SAFE:
        return site not in _OURS and not _is_visit(request)
    origin = request.headers.get("origin")
    if origin is not None and _netloc(origin) != request.headers.get("host", "").lower():
        return True
    # A form of ours says "same-origin". Without either header it is no browser, and still needs a token.
    return tells_origin(request) and site != "same-origin"


# In an address, that the page has loaded itself again.
AGAIN = "again"


def followed_a_link(request: Request) -> bool:
    """Whether somebody came from another site's page by themselves, and so without a strict cookie.

    Over plain HTTP from another machine browsers do not say; then they may have, once.
    """
    if tells_origin(request):
        return request.headers["sec-fetch-site"] not in _OURS and _is_visit(request)
    is_page = request.method in SAFE and "text/html" in request.headers.get("accept", "")
    return is_page and AGAIN not in request.query_params


def tells_origin(request: Request) -> bool:
    """Whether the browser says where a request comes from."""
    return "sec-fetch-site" in request.headers


def _is_visit(request: Request) -> bool:
    """Whether this is for a window of its own, not for another page's frame or script."""
    asked = request.headers
    return asked.get("sec-fetch-mode") == "navigate" and asked.get("sec-fetch-dest") == "document"


def _netloc(origin: str) -> str:
    # Not the scheme: a proxy in front may speak HTTPS for us.
    scheme, _, rest = origin.partition("://")
    return rest.lower() if scheme in ("http", "https") else ""
