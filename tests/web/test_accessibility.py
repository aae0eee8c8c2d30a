"""Every page, light and dark: axe-core finds nothing serious, no complaint, and nobody else is asked."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect
from starlette.routing import Route

from miniagent_store import SessionStore, open_store
from miniagent_store.web import viewer
from tests.web.axe import findings
from tests.web.browser import looking
from tests.web.served import served
from tests.web.world import PAGES, furnish

# One page of each template; the others are looked at with all widths and rights, which is slow.
TEMPLATES = (
    *("sessions-found", "tenants", "session", "session-raw", "session-state", "session-record"),
    *("performance", "compare", "audit", "act-delete", "failure"),
)
# The browser's own line about a page that answers 404.
EXPECTED = "Failed to load resource: the server responded with a status of 404"


async def test_pages_are_for_everybody(one: SessionStore, browser: Browser) -> None:
    await furnish(one)
    async with served(one, allow_write=True) as seen, looking(browser, seen) as look:
        for name in TEMPLATES:
            await look.page.set_viewport_size({"width": 1440, "height": 900})
            await look.page.emulate_media(color_scheme="light")
            await look.go(PAGES[name])
            await expect(look.page.get_by_role("main")).to_be_visible()
            assert await findings(look.page) == [], name

            await look.page.emulate_media(color_scheme="dark")
            assert await findings(look.page, "color-contrast") == [], f"{name}, dark"

            for width in (800, 400):
                await look.page.set_viewport_size({"width": width, "height": 900})
                assert await sideways(look.page) <= 0, f"{name}, {width}"

        assert [each for each in look.complaints if not each.startswith(EXPECTED)] == []
        assert look.elsewhere == []


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"allow_write": True}, {"allow_write": False, "content": False}])
@pytest.mark.parametrize("width", [400, 800, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_are_for_everybody_however_they_look(
    one: SessionStore, browser: Browser, options: dict[str, bool], width: int, scheme: str
) -> None:
    await furnish(one)
    async with (
        served(one, **options) as seen,
        looking(browser, seen, width=width, scheme=scheme) as look,
    ):
        for name, path in PAGES.items():
            await look.go(path)
            assert await findings(look.page) == [], name
            assert await sideways(look.page) <= 0, name

        assert [each for each in look.complaints if not each.startswith(EXPECTED)] == []
        assert look.elsewhere == []


async def sideways(page: Page) -> int:
    """By how many pixels a page is wider than its window."""
    wider: int = await page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    return wider


async def test_what_opens_is_for_everybody(one: SessionStore, browser: Browser) -> None:
    await furnish(one)
    async with served(one, allow_write=True) as seen, looking(browser, seen) as look:
        page = look.page
        await look.go(PAGES["session"])
        await expect(page.get_by_role("button", name="Keyboard help")).to_be_visible()
        await page.get_by_text("Export").click()
        await page.get_by_text("forecast").first.click()
        assert await findings(page) == []

        await page.get_by_role("link", name="Delete", exact=True).click()
        dialog = page.get_by_role("dialog", name="Delete this session?")
        await expect(dialog).to_be_visible()
        assert await findings(page) == []
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        await expect(page.get_by_role("link", name="Delete", exact=True)).to_be_focused()
        assert look.complaints == []


async def test_keys(one: SessionStore, browser: Browser) -> None:
    await furnish(one)
    async with served(one) as seen, looking(browser, seen) as look:
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


async def test_keys_can_be_turned_off(one: SessionStore, browser: Browser) -> None:
    async with served(one) as seen, looking(browser, seen) as look:
        dialog, opener = (
            look.page.get_by_role("dialog"),
            look.page.get_by_role("button", name="Keyboard help"),
        )
        await opener.click()
        await dialog.get_by_label("Single keys").uncheck()
        await dialog.get_by_role("button", name="Close").click()

        await look.page.reload()
        await expect(opener).to_be_visible()
        await look.page.keyboard.press("?")
        await expect(dialog).to_be_hidden()
        await opener.click()
        await dialog.get_by_label("Single keys").check()
        await dialog.get_by_role("button", name="Close").click()
        await look.page.keyboard.press("?")
        await expect(dialog).to_be_visible()


async def test_skipping_to_the_content(one: SessionStore, browser: Browser) -> None:
    async with served(one) as seen, looking(browser, seen) as look:
        await look.page.keyboard.press("Tab")
        await expect(look.page.get_by_role("link", name="Skip to content")).to_be_focused()
        await expect(look.page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
        await look.page.keyboard.press("Enter")
        await expect(look.page.get_by_role("main")).to_be_focused()


def test_no_page_is_forgotten() -> None:
    """Whoever adds a page has it looked at: `PAGES` names it."""
    store = open_store("memory://")
    routes = {
        route.path: route for route in viewer(store, allow_write=True).routes if isinstance(route, Route)
    }
    no_pages = {
        "/enter",
        "/export",
        "/session-entries",
        *(path for path in routes if path.endswith("-live")),
    }
    # It asks about a copy that was kept; tests/web/test_acting.py has one.
    no_pages.add("/act/undo")
    looked_at = {urlsplit(path).path for path in PAGES.values()}

    assert set(routes) - no_pages - looked_at == set()
