"""Everything that a viewer answers: each page, and what its links, streams and forms lead to."""

from __future__ import annotations

import asyncio
import html
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

# Addresses of one path that links lead to: after so many, more are alike. Of streams, since they take long.
ALIKE, ALIKE_STREAMS = 5, 1
# Seconds that a stream is listened to.
LISTENED = 0.7


@dataclass(frozen=True)
class Form:
    """A form that is sent by POST: where to, and its fields as a page has them."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.forms: list[Form] = []
        self._form: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and values.get("method", "").lower() == "post":
            self._form = Form(values.get("action", ""))
            self.forms.append(self._form)
            return
        for name, value in values.items():
            if value.startswith("/") and (name in ("href", "src", "action") or name.startswith("data-")):
                self.addresses.append(value)
        if self._form and (name := values.get("name")) and tag in ("input", "textarea", "select", "button"):
            self._form.fields[name] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None


def forms_of(text: str) -> list[Form]:
    """The forms of a page that are sent by POST."""
    page = _Page()
    page.feed(text)
    return page.forms


def pages_of(app: Starlette) -> dict[str, Route]:
    """Every page of a viewer by its path, static files aside."""
    return dict(_routes(app.routes, ""))


def _routes(routes: list[BaseRoute], root: str) -> Iterator[tuple[str, Route]]:
    for route in routes:
        if isinstance(route, Mount) and route.name != "static":
            yield from _routes(list(route.routes), root + route.path)
        elif isinstance(route, Route):
            yield root + route.path, route


class Crawl:
    """What was answered, by address.

    Args:
        client: who is let in, with the viewer's origin as its base.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.answers: dict[str, str] = {}
        self.paths: set[str] = set()
        self._alike = Counter[str]()

    async def follow(self, address: str) -> None:
        """Ask for an address, and for all that its page leads to."""
        waiting = [address]
        while waiting:
            here = waiting.pop()
            path = urlsplit(here).path
            most = ALIKE_STREAMS if path.endswith("-live") else ALIKE
            is_alike = here != address and self._alike[path] >= most
            if here in self.answers or is_alike or path.startswith("/static/"):
                continue
            self._alike[path] += 1
            text = await self._asked(here)
            if text.lstrip().startswith("<"):
                page = _Page()
                page.feed(text)
                waiting += [urlsplit(each)._replace(fragment="").geturl() for each in page.addresses]

    async def send(self, form: Form, values: Mapping[str, str]) -> None:
        """Send a form, with what somebody has typed into its empty fields."""
        fields = {name: value or values.get(name, "1") for name, value in form.fields.items()}
        answer = await self._client.post(form.action, data=fields, follow_redirects=True)
        self._note(f"POST {form.action} -> {answer.url}", answer, answer.text)

    async def _asked(self, address: str) -> str:
        text = ""
        async with self._client.stream("GET", address) as answer:
            try:
                async with asyncio.timeout(LISTENED if _is_stream(answer) else 60):
                    async for chunk in answer.aiter_text():
                        text += chunk
            except TimeoutError:
                assert _is_stream(answer), address
        self._note(address, answer, text)
        return text

    def _note(self, address: str, answer: httpx.Response, text: str) -> None:
        self.paths.add(urlsplit(address.removeprefix("POST ")).path)
        heads = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        # As a page holds it and as somebody reads it.
        plain = html.unescape(re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), text))
        self.answers[address] = f"{answer.status_code}\n{heads}\n{text}\n{plain}"


def _is_stream(answer: httpx.Response) -> bool:
    return answer.headers.get("content-type", "").startswith("text/event-stream")
