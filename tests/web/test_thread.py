"""One message through the viewer, in a browser, on each kind of store."""

from __future__ import annotations

from playwright.async_api import Browser, expect

from miniagent_store import Message, SessionStore
from tests.web.browser import looking
from tests.web.served import command, served


async def test_what_was_said_is_shown(store: SessionStore, browser: Browser) -> None:
    session = await store.create(user_id="ada")
    await store.append(session.id, Message.user("Hello, <b>viewer</b>"))

    async with served(store) as viewer, looking(browser, viewer) as look:
        await look.page.get_by_role("link", name=session.id).click()
        await expect(look.page.get_by_text("Hello, <b>viewer</b>")).to_be_visible()

        assert look.complaints == []
        assert look.elsewhere == []


async def test_the_command_serves_too(store: SessionStore, store_url: str, browser: Browser) -> None:
    session = await store.create(user_id="ada")

    with command(store_url) as viewer:
        async with looking(browser, viewer) as look:
            await expect(look.page.get_by_role("link", name=session.id)).to_be_visible()
