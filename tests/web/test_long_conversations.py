"""A long conversation: parts of it come as one scrolls, jumps or follows links, and never all of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from miniagent_store import Message, SessionStore
from tests.web.browser import looking
from tests.web.served import TOKEN, served
from tests.web.test_session_live import is_live, sequences

pytestmark = pytest.mark.slow
COUNT = 2_000
MOST = 500


@pytest_asyncio.fixture(loop_scope="session")
async def long(one: SessionStore) -> AsyncIterator[SessionStore]:
    """A session "s" with messages of all lengths."""
    said = [Message.user(f"message {seq} " + "and more " * (seq % 70)) for seq in range(1, COUNT + 1)]
    await one.append("s", *said, create=True)
    yield one


async def check(page: Page) -> list[int]:
    """The entries that are shown: without a gap, and not many."""
    shown = await sequences(page)
    assert shown == [*range(shown[0], shown[-1] + 1)]
    assert len(shown) <= MOST
    return shown


async def scroll(page: Page, by: int, until: str) -> None:
    """Scroll on and on, so many pixels a frame.

    Args:
        page: of the session.
        by: pixels; up where less than 0.
        until: a condition over `first` and `last`, the sequences that are shown.
    """
    await page.wait_for_function(
        """([by, until]) => {
          scrollBy({ top: by, behavior: "instant" });
          const { first, last } = document.getElementById("entries").dataset;
          return { "<": first < Number(until[2]), "==": last == Number(until[2]) }[until[1]];
        }""",
        arg=[by, until.split()],
    )


async def test_it_opens_at_the_newest_and_loads_older_ones_as_one_scrolls(
    long: SessionStore, browser: Browser
) -> None:
    async with served(long) as viewer, looking(browser, viewer) as look:
        page = look.page
        await look.go("/session?id=s")
        await expect(page.locator(f"#m{COUNT}")).to_be_in_viewport()
        for first in (COUNT - 200, COUNT - 400, COUNT - 700):
            await scroll(page, -2_000, f"first < {first}")
            await check(page)
        # What is far below has gone, and comes again.
        assert (await check(page))[-1] < COUNT
        await scroll(page, 2_000, f"last == {COUNT}")
        assert (await check(page))[0] > COUNT - 700
        await expect(page.locator("#newer")).to_be_hidden()
        assert look.complaints == []


async def test_what_one_reads_stays_where_it_is(long: SessionStore, browser: Browser) -> None:
    async with served(long) as viewer, looking(browser, viewer) as look:
        page = look.page
        await look.go("/session?id=s&around=1000#m1000")
        await page.evaluate("document.getElementById('m975').scrollIntoView({ block: 'center' })")
        place = "document.getElementById('m975').getBoundingClientRect().top"
        before = await page.evaluate(place)
        await page.wait_for_function("() => Number(document.getElementById('entries').dataset.first) < 950")
        await check(page)
        assert abs(await page.evaluate(place) - before) < 10
        await expect(page.locator("#m1000")).to_be_focused()


async def test_links_to_messages_and_jumps(long: SessionStore, browser: Browser) -> None:
    async with served(long) as viewer, looking(browser, viewer) as look:
        page = look.page
        await look.go("/session?id=s#m123")  # as somebody wrote it by hand
        await expect(page.locator("#m123")).to_be_in_viewport()
        await is_live(page)
        await page.get_by_role("spinbutton", name="Number").fill("1500")
        await page.get_by_role("button", name="Go to").click()
        await expect(page.locator("#m1500")).to_be_in_viewport()
        await page.locator("#m1500").get_by_role("link", name="Link to #1500").click()
        await expect(page.locator("#m1500")).to_be_in_viewport()
        assert page.url.endswith("around=1500#m1500")

        await page.keyboard.press("[")
        await expect(page.locator("#m1")).to_be_in_viewport()
        await page.keyboard.press("j")
        await expect(page.locator("#m1")).to_be_focused()
        # Further than what was loaded first.
        while await page.evaluate("document.activeElement.id") != "m71":
            await page.keyboard.press("j")
        await page.keyboard.press("r")
        await expect(page.get_by_role("heading", name="Entry 71")).to_be_visible()
        await page.go_back()
        await page.keyboard.press("]")
        await expect(page.locator(f"#m{COUNT}")).to_be_in_viewport()
        await check(page)
        assert look.complaints == []


async def test_without_scripts_there_are_links(long: SessionStore, browser: Browser) -> None:
    async with served(long) as viewer:
        context = await browser.new_context(java_script_enabled=False)
        page = await context.new_page()
        await page.goto(f"{viewer.origin}/enter?token={TOKEN}")
        await page.goto(f"{viewer.origin}/session?id=s")
        seen = set[int]()
        for name in ("Older", "Older", "Oldest", "Newer", "Newer", "Newest"):
            async with page.expect_navigation():
                await page.get_by_role("link", name=name, exact=True).click()
            numbers = [await each.get_attribute("data-seq") for each in await page.locator(".entry").all()]
            seen |= {int(each) for each in numbers if each}
        assert seen == {*range(1, 181), *range(COUNT - 179, COUNT + 1)}
        await page.get_by_role("spinbutton", name="Number").fill("1000")
        await page.get_by_role("button", name="Go to").click()
        await expect(page.locator("#m1000")).to_be_visible()
        await page.get_by_role("link", name="Replay").click()
        await expect(page.get_by_role("slider")).to_be_visible()
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_text("as it stood at")).to_be_visible()
        await context.close()
