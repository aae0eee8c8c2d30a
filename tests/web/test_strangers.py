"""What pages of others can have a visitor's browser do to the viewer: nothing."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from miniagent_store import Message, SessionStore
from tests.web.browser import Look, looking
from tests.web.served import served
from tests.web.stranger import stranger

# One with a strict cookie's worst case: another port is of the same site, so the cookie goes along.
SITES = pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])


async def _visit(look: Look, html: str, name: str) -> None:
    async with stranger(html.replace("VIEWER", look.viewer.origin)) as port:
        await look.page.goto(f"http://{name}:{port}/")
        await expect(look.page.locator("body[data-done]")).to_be_attached()


@SITES
async def test_a_link_on_another_page_leads_in(one: SessionStore, browser: Browser, name: str) -> None:
    session = await one.create(user_id="ada")
    async with served(one) as viewer, looking(browser, viewer) as look:
        async with stranger(f'<a href="{viewer.origin}/session?id={session.id}">there</a>') as port:
            await look.page.goto(f"http://{name}:{port}/")
            await look.page.get_by_role("link").click()
            await expect(look.page.get_by_role("heading", name=session.id)).to_be_visible()


@SITES
async def test_a_link_with_the_token_on_another_page_leads_in(
    one: SessionStore, browser: Browser, name: str
) -> None:
    session = await one.create(user_id="ada")
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.page.context.clear_cookies()
        async with stranger(f'<a href="{viewer.link}">there</a>') as port:
            await look.page.goto(f"http://{name}:{port}/")
            await look.page.get_by_role("link").click()
            await expect(look.page.get_by_role("link", name=session.id)).to_be_visible()
            assert "token" not in look.page.url


@SITES
async def test_who_has_not_entered_is_told_so_once(one: SessionStore, browser: Browser, name: str) -> None:
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.page.context.clear_cookies()
        async with stranger(f'<a href="{viewer.origin}/session?id=a">there</a>') as port:
            await look.page.goto(f"http://{name}:{port}/")
            await look.page.get_by_role("link").click()
            await expect(look.page.get_by_text("Open the link that was printed")).to_be_visible()
