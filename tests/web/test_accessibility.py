"""Every page, light and dark: axe-core finds nothing serious, no complaint, and nobody else is asked."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from miniagent_store import SessionStore
from tests.web.axe import findings
from tests.web.browser import looking
from tests.web.served import served
from tests.web.world import PAGES, furnish

# The browser's own line about a page that answers 404.
EXPECTED = "Failed to load resource: the server responded with a status of 404"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_are_for_everybody(one: SessionStore, browser: Browser, scheme: str) -> None:
    await furnish(one)
    async with (
        served(one, allow_write=True) as viewer,
        looking(browser, viewer, scheme=scheme) as look,
    ):
        for name, path in PAGES.items():
            await look.go(path)
            await expect(look.page.get_by_role("main")).to_be_visible()
            assert await findings(look.page) == [], name

        assert [each for each in look.complaints if not each.startswith(EXPECTED)] == []
        assert look.elsewhere == []


async def test_a_narrow_screen_needs_no_sideways_scrolling(one: SessionStore, browser: Browser) -> None:
    await furnish(one)
    async with served(one, allow_write=True) as viewer, looking(browser, viewer, width=400) as look:
        for name, path in PAGES.items():
            await look.go(path)
            wide = await look.page.evaluate("() => document.documentElement.scrollWidth")
            assert wide <= 400, name
            assert await findings(look.page) == [], name


async def test_keys(one: SessionStore, browser: Browser) -> None:
    await furnish(one)
    async with served(one) as viewer, looking(browser, viewer) as look:
        keyboard, dialog = look.page.keyboard, look.page.get_by_role("dialog", name="Keys")
        links = look.page.locator("tbody").get_by_role("link")
        await expect(look.page.get_by_role("button", name="Keyboard help")).to_be_visible()

        await keyboard.press("?")
        await expect(dialog).to_be_visible()
        await expect(dialog.get_by_text("Go to Sessions")).to_be_visible()
        assert await findings(look.page) == []
        await keyboard.press("j")  # does nothing behind a dialog
        await keyboard.press("Escape")
        await expect(dialog).to_be_hidden()

        rows = look.page.locator("[data-step]")
        for key, at in (("j", 0), ("j", 1), ("j", 2), ("k", 1), ("k", 0), ("k", 0)):
            await keyboard.press(key)
            await expect(rows.nth(at).locator(":focus")).to_have_count(1)
        name = await links.first.inner_text()
        await keyboard.press("Enter")
        await expect(look.page.get_by_role("heading", name=name)).to_be_visible()

        await expect(look.page.get_by_role("button", name="Keyboard help")).to_be_visible()
        await keyboard.press("g")
        await keyboard.press("s")
        await expect(look.page.get_by_role("heading", name="Sessions")).to_be_visible()


async def test_skipping_to_the_content(one: SessionStore, browser: Browser) -> None:
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.page.keyboard.press("Tab")
        await expect(look.page.get_by_role("link", name="Skip to content")).to_be_focused()
        await expect(look.page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
        await look.page.keyboard.press("Enter")
        await expect(look.page.get_by_role("main")).to_be_focused()
