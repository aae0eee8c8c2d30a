"""Acting in a browser: by dialogs, and without scripts by pages."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from miniagent_store import Message, SessionStore
from tests.web.axe import findings
from tests.web.browser import looking
from tests.web.served import TOKEN, served
from tests.web.test_acting import talk
from tests.web.test_comparing import forked


async def test_a_dialog_asks_and_undoes(one: SessionStore, browser: Browser) -> None:
    await talk(one)
    async with served(one, allow_write=True) as viewer, looking(browser, viewer) as look:
        page = look.page
        await look.go("/session?id=talk")
        await page.get_by_role("link", name="Clear", exact=True).click()
        dialog = page.get_by_role("dialog", name="Clear this session?")
        await expect(dialog.get_by_text("8 messages", exact=True)).to_be_visible()
        await expect(dialog.get_by_role("link", name="Cancel")).to_be_focused()
        assert await findings(page) == []
        await dialog.get_by_role("link", name="Cancel").click()
        await expect(dialog).to_be_hidden()
        assert (await one.get("talk")).message_count == 8

        await page.get_by_role("link", name="Clear", exact=True).click()
        await dialog.get_by_role("button", name="Clear").click()
        await expect(page.get_by_role("status")).to_contain_text("Done: clear")
        assert (await one.get("talk")).message_count == 0
        assert await findings(page) == []

        await page.get_by_role("status").get_by_role("link", name="Undo").click()
        dialog = page.get_by_role("dialog", name="Undo this?")
        await dialog.get_by_role("button", name="Undo").click()
        await expect(page.get_by_role("status")).to_contain_text("Done: undo")
        assert (await one.get("talk")).message_count == 8

        await page.get_by_role("link", name="The session").click()
        await page.get_by_role("link", name="Rewind").click()
        dialog = page.get_by_role("dialog", name="Rewind this session?")
        await dialog.get_by_label("Last message that stays").fill("6")
        await page.keyboard.press("Enter")
        await expect(dialog.get_by_text("2 messages")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()

        assert look.complaints == []
        assert look.elsewhere == []


@pytest.mark.slow
async def test_every_act_on_every_store(store: SessionStore, browser: Browser) -> None:
    await talk(store)
    async with served(store, allow_write=True) as viewer, looking(browser, viewer) as look:
        page = look.page
        done = page.get_by_role("status")

        async def act(link: str, button: str, **typed: str) -> None:
            await look.go("/session?id=talk")
            await page.get_by_role("link", name=link, exact=True).click()
            dialog = page.get_by_role("dialog")
            for label, text in typed.items():
                await dialog.get_by_label(label.replace("_", " "), exact=True).fill(text)
                if label in ("Last_message_that_stays", "Entry"):
                    await page.keyboard.press("Enter")
                    await expect(dialog.get_by_role("heading", name="What will be gone")).to_be_visible()
            await dialog.get_by_role("button", name=button, exact=True).click()
            await expect(done).to_contain_text("Done")

        async def undo() -> None:
            await done.get_by_role("link", name="Undo").click()
            await page.get_by_role("dialog").get_by_role("button", name="Undo").click()
            await expect(done).to_contain_text("Done: undo")

        await act("Touch", "Touch")
        await act("Change TTL", "Change", Time_to_live="never")
        assert (await store.get("talk")).ttl is None
        await act("Fork", "Fork", Up_to_message="4", Id_of_the_fork="beside")
        assert (await store.get("beside")).message_count == 4
        for link, typed in (("Rewind", {"Last_message_that_stays": "6"}), ("Clear", {}), ("Delete", {})):
            await act(link, link, **typed)
            await undo()
            assert (await store.get("talk")).message_count == 8
        await act("Redact", "Redact", Entry="3", Reason="on request")
        await expect(done).to_contain_text("entry 3 of messages: on request")
        for who in ("touch", "ttl", "fork", "rewind", "clear", "delete", "undo", "redact"):
            await expect(page.get_by_role("table").get_by_text(who, exact=True).first).to_be_visible()

        await look.go("/compare?id=talk&with=beside")
        await expect(page.get_by_text("2 entries are the same on both sides")).to_be_visible()
        await look.go("/session?id=talk")
        await page.get_by_text("Export", exact=True).click()
        async with page.expect_download() as coming:
            await page.get_by_role("link", name="An archive, as it is stored").click()
        assert (await coming.value).suggested_filename == "talk.jsonl"
        assert look.complaints == []
        assert look.elsewhere == []


@pytest.mark.slow
async def test_an_entry_has_its_acts(one: SessionStore, browser: Browser) -> None:
    await talk(one)
    async with served(one, allow_write=True) as viewer, looking(browser, viewer) as look:
        page = look.page
        await look.go("/session?id=talk")
        await page.get_by_label("What can be done from 4 on").click()
        await expect(page.get_by_role("link", name="Rewind to here")).to_be_visible()
        assert await findings(page) == []
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("link", name="Rewind to here")).to_be_hidden()

        await page.get_by_label("What can be done from 4 on").click()
        await page.get_by_role("link", name="Rewind to here").click()
        dialog = page.get_by_role("dialog", name="Rewind this session?")
        await expect(dialog.get_by_text("4 messages")).to_be_visible()
        await dialog.get_by_role("link", name="Cancel").click()

        await look.go("/session-entry?id=talk&log=messages&seq=3")
        await page.get_by_role("link", name="Redact").click()
        await expect(page.get_by_role("dialog").get_by_text("question 2")).to_be_visible()
        assert look.complaints == []


@pytest.mark.slow
async def test_a_wrong_entry_is_told_where_it_was_typed(one: SessionStore, browser: Browser) -> None:
    await talk(one)
    async with served(one, allow_write=True) as viewer, looking(browser, viewer, width=400) as look:
        await look.go("/session?id=talk")
        await look.page.get_by_role("link", name="Change TTL").click()
        dialog = look.page.get_by_role("dialog", name="Change how long this session lasts?")
        await dialog.get_by_label("Time to live").fill("soon")
        await dialog.get_by_role("button", name="Change").click()
        await expect(look.page.get_by_role("alert")).to_contain_text("soon")
        await look.page.get_by_label("Time to live").fill("2h")
        await look.page.get_by_role("button", name="Change").click()
        await expect(look.page.get_by_role("status")).to_contain_text("from 7 d to 2 h")

    assert (await one.get("talk")).ttl == 7200


async def test_without_scripts(one: SessionStore, browser: Browser) -> None:
    await talk(one)
    async with served(one, allow_write=True) as viewer:
        context = await browser.new_context(java_script_enabled=False)
        try:
            page = await context.new_page()
            await page.goto(f"{viewer.origin}/enter?token={TOKEN}")
            await page.goto(f"{viewer.origin}/session?id=talk")
            await page.get_by_role("link", name="Delete").click()
            await expect(page.get_by_role("heading", name="Delete this session?")).to_be_visible()
            await page.get_by_role("button", name="Delete").click()
            await expect(page.get_by_role("status")).to_contain_text("Done: delete")
            await page.get_by_role("status").get_by_role("link", name="Undo").click()
            await page.get_by_role("button", name="Undo").click()
            await expect(page.get_by_role("status")).to_contain_text("Done: undo")
            await page.get_by_role("link", name="The session").click()
            await page.get_by_text("Export", exact=True).click()
            async with page.expect_download() as coming:
                await page.get_by_role("link", name="Markdown, to read").click()
            assert (await coming.value).suggested_filename == "talk.md"
        finally:
            await context.close()

    assert (await one.get("talk")).message_count == 8


@pytest.mark.slow
async def test_two_forks_are_seen(one: SessionStore, browser: Browser) -> None:
    await forked(one)
    await one.append("talk", Message.user("<b>bold</b>"))
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/session?id=talk")
        await look.page.get_by_role("link", name="Compare").click()
        await look.page.get_by_role("group", name="Right").get_by_label("Session").fill("fork")
        await look.page.get_by_role("button", name="Compare").click()
        await expect(look.page.get_by_text("698 entries are the same on both sides")).to_be_visible()
        # What is added is an <ins>, not only a colour.
        await expect(look.page.locator("ins").first).to_be_visible()
        await expect(look.page.get_by_text("message 697")).to_be_hidden()
        await look.page.get_by_text("698 entries are the same on both sides").click()
        await expect(look.page.get_by_text("message 697")).to_be_visible()
        assert await findings(look.page) == []
        assert look.complaints == []
