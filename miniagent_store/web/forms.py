"""Bodies of requests: a form, small, and sent without delay."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive

# Bytes, and seconds for all of them.
LARGEST = 64 * 1024
SLOWEST = 10.0
FIELDS = 100


async def body_of(request: Request) -> bytes:
    """All of a request's body.

    Raises:
        HTTPException: 413, larger than `LARGEST`; 408, it takes longer than `SLOWEST`; 400, it was cut.
    """
    if int(_digits(request.headers.get("content-length", "0"))) > LARGEST:
        raise _too_large()
    try:
        async with asyncio.timeout(SLOWEST):
            return await _received(request.receive)
    except TimeoutError:
        raise HTTPException(
            408, "The form came too slowly; send it again.", {"Connection": "close"}
        ) from None


def fields_of(request: Request, body: bytes) -> dict[str, str]:
    """The fields of a form in a body; of a name that comes again, the last.

    Raises:
        HTTPException: 400, there is a body of another kind, or too many fields.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not body:
        return {}
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(400, "Only a form's fields are taken (application/x-www-form-urlencoded).")
    try:
        return dict(
            parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
        )
    except ValueError:
        raise HTTPException(400, "This is no form that can be read.") from None


def again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read already, and then what comes: that the visitor left."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again


async def _received(receive: Receive) -> bytes:
    chunks = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HTTPException(400, "The form was cut.")
        chunks += message.get("body", b"")
        if len(chunks) > LARGEST:
            raise _too_large()
        if not message.get("more_body"):
            return bytes(chunks)


def _digits(text: str) -> str:
    # Servers refuse a length that is none; this is for what stands between.
    return text if text.isascii() and text.isdecimal() and len(text) < 19 else str(LARGEST + 1)


def _too_large() -> HTTPException:
    # The rest is not read, so that the connection cannot be used again.
    return HTTPException(
        413, f"A form holds at most {LARGEST // 1024} KiB; send less.", {"Connection": "close"}
    )
