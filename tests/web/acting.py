"""How tests act: a visitor without a browser, who reads a page's form and sends it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any

import httpx

from miniagent_store import SessionStore
from miniagent_store.keys import Key, Keyring
from miniagent_store.web import viewer
from tests.web.served import TOKEN

SEALED, OTHER = (Keyring([Key(bytes(range(number, number + 32)))]) for number in (1, 2))


class _Form(HTMLParser):
    """The fields of the first form of a kind, checked boxes among them."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self._method, self._inside = method, False
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = values.get("method") == self._method and self.action is None
            self.action = values.get("action") if self._inside else self.action
        elif tag == "input" and self._inside and (values.get("type") != "checkbox" or "checked" in values):
            self.fields[values.get("name", "")] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


class Visitor:
    """Somebody who was let in."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def see(self, path: str, **query: Any) -> httpx.Response:
        """A page."""
        return await self.client.get(path, params=query)

    async def act(self, what: str, session_id: str, *, without: str = "", **fields: Any) -> httpx.Response:
        """Ask, and do what the page's form does; `fields` are what is typed into it, or asked for.

        Args:
            what: the act.
            session_id: to which session.
            without: a field that is not sent, such as a box whose mark is taken away.
        """
        page = await self.see(f"/act/{what}", id=session_id, **fields)
        assert page.status_code == 200, page.text
        return await self.confirm(page, without=without, **fields)

    async def confirm(self, page: httpx.Response, *, without: str = "", **fields: Any) -> httpx.Response:
        """Send the form of a page that was seen."""
        action, given = form_in(page.text)
        sent = {**given, **{name: str(value) for name, value in fields.items()}}
        sent.pop(without, None)
        return await self.client.post(action, data=sent)


def form_in(html: str, method: str = "post") -> tuple[str, dict[str, str]]:
    """Where the form of a page goes, and what it holds."""
    form = _Form(method)
    form.feed(html)
    assert form.action is not None, "the page has no such form"
    return form.action, form.fields


@asynccontextmanager
async def visiting(store: SessionStore, **options: Any) -> AsyncIterator[Visitor]:
    """A visitor of a viewer that may act, unless told otherwise."""
    app = viewer(store, **{"allow_write": True, "token": TOKEN, **options})
    # Without a server between: what comes over the wire is asked in a browser.
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", follow_redirects=True
    ) as client:
        await client.get(f"/enter?token={TOKEN}")
        yield Visitor(client)
