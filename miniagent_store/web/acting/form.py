"""A form that was sent: small, and made by one of our pages for this visitor."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from miniagent_store.web.asked import entrance_of

# Bytes; an id has 512 at most, a reason is a sentence.
LARGEST = 64 * 1024
FIELDS = 32


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form; of a name that stands twice, the last.

    Raises:
        HTTPException: it is none of ours (403), too large (413), or no form (400, 415).
    """
    # Read by hand: for three texts no parser of uploads is needed.
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise HTTPException(415, "This is no form.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise HTTPException(413, f"A form has at most {LARGEST:,} bytes.")
    try:
        fields = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS))
    except ValueError:
        raise HTTPException(400, "This form cannot be read.") from None
    if not entrance_of(request).is_of_our_form(request, fields.pop("form", "")):
        raise HTTPException(
            403, "This form was not made for you, or it was long ago: open the page again. Nothing was changed."
        )
    return fields
