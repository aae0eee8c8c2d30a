"""What happens to a session is on its page: soon, in order, nothing lost and nothing twice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from miniagent_store import Message, SessionStore
from tests.web.browser import looking
from tests.web.served import command, served

# Notes when entries come into the page, by its clock, which is the machine's.
NOTE = """() => {
  window.came = {};
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes)
      for (const each of addedNodes) if (each.dataset?.seq) window.came[each.dataset.seq] ??= Date.now();
  }).observe(document.getElementById("entries"), { childList: true });
}"""
APPEND = """
import asyncio, sys, time
from miniagent_store import Message, open_store

async def main(url, session_id):
    async with open_store(url) as store:
        await store.get(session_id)
        for number in range(5):
            said = time.time()
            session = await store.append(session_id, Message.user(f"from afar {number}"))
            print(session.position.seq("messages"), said * 1000, flush=True)
            await asyncio.sleep(0.3)

asyncio.run(main(*sys.argv[1:]))
"""
SOON = 500  # milliseconds


async def sequences(page: Page) -> list[int]:
    """Of the entries that are shown, in order."""
    found: list[int] = await page.evaluate(
        "() => [...document.querySelectorAll('.entry')].map((each) => Number(each.dataset.seq))"
    )
    return found


async def is_live(page: Page) -> None:
    await expect(page.locator("#live")).to_have_attribute("data-state", "open")


@pytest.mark.slow
async def test_an_append_of_another_process_is_there_soon(
    store: SessionStore, store_url: str, browser: Browser
) -> None:
    await store.append("s", Message.user("hello"), create=True)

    async with served(store) as viewer, looking(browser, viewer) as look:
        await look.go("/session?id=s")
        await is_live(look.page)
        await look.page.evaluate(NOTE)
        appending = subprocess.Popen(
            [sys.executable, "-c", APPEND, store_url, "s"], stdout=subprocess.PIPE, text=True
        )
        await expect(look.page.get_by_text("from afar 4")).to_be_visible()
        printed = appending.communicate(timeout=30)[0].split()
        came = await look.page.evaluate("window.came")

        said = {seq: float(at) for seq, at in zip(printed[::2], printed[1::2], strict=True)}
        took = {seq: came[seq] - at for seq, at in said.items()}
        assert len(took) == 5
        assert max(took.values()) < SOON, took
        assert await sequences(look.page) == [1, 2, 3, 4, 5, 6]
        assert look.complaints == []


@pytest.mark.slow
async def test_a_tail_goes_on_after_the_server_was_killed(
    store: SessionStore, store_url: str, browser: Browser
) -> None:
    await store.append("s", *[Message.user(f"message {seq}") for seq in range(1, 6)], create=True)
    with command(store_url) as viewer:
        async with looking(browser, viewer) as look:
            await look.go("/session?id=s")
            await is_live(look.page)
            await store.append("s", Message.user("message 6"))
            await expect(look.page.locator("#m6")).to_be_visible()
            viewer.kill()
            await expect(look.page.locator("#live")).to_have_attribute("data-state", "lost")
            await store.append("s", *[Message.user(f"message {seq}") for seq in range(7, 90)])
            await store.redact("s", 3, reason="meanwhile")

            with command(store_url, "--port", str(urlsplit(viewer.origin).port)):
                await is_live(look.page)
                await expect(look.page.locator("#m89")).to_be_attached()
                await store.append("s", Message.user("message 90"))
                await expect(look.page.locator("#m90")).to_be_attached()
                await expect(look.page.locator("#m3")).to_contain_text("meanwhile")
                assert await sequences(look.page) == [*range(1, 91)]


async def _rewind(store: SessionStore) -> None:
    await store.rewind("s", to=2)


async def _clear(store: SessionStore) -> None:
    await store.clear("s")


async def _trim(store: SessionStore) -> None:
    await store.trim("s", before=3)


async def _redact(store: SessionStore) -> None:
    await store.redact("s", 2, reason="wanted")


async def _rewrite(store: SessionStore) -> None:
    await store.replace("s", [Message.user("two again"), Message.user("three again")], from_seq=2)


CHANGES: list[tuple[Callable[[SessionStore], Awaitable[None]], dict[int, str]]] = [
    (_rewind, {1: "message 1", 2: "message 2"}),
    (_clear, {}),
    (_trim, {3: "message 3", 4: "message 4"}),
    (_redact, {1: "message 1", 2: "wanted", 3: "message 3", 4: "message 4"}),
    (_rewrite, {1: "message 1", 2: "two again", 3: "three again"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("change", "expected"), CHANGES, ids=[each.__name__ for each, _ in CHANGES])
async def test_what_is_rewritten_is_shown_so(
    one: SessionStore,
    browser: Browser,
    change: Callable[[SessionStore], Awaitable[None]],
    expected: dict[int, str],
) -> None:
    await one.append("s", *[Message.user(f"message {seq}") for seq in range(1, 5)], create=True)
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/session?id=s")
        await is_live(look.page)
        await change(one)
        next_seq = (await one.append("s", Message.user("the next"))).position.seq("messages")

        await expect(look.page.locator(f"#m{next_seq}")).to_contain_text("the next")
        await expect(look.page.locator(".entry")).to_have_count(len(expected) + 1)
        assert await sequences(look.page) == [*expected, next_seq]
        for seq, text in expected.items():
            await expect(look.page.locator(f"#m{seq}")).to_contain_text(text)
        assert look.complaints == []


async def test_answers_that_come_later_join_their_calls(one: SessionStore, browser: Browser) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    await one.append("s", Message.assistant(None, tool_calls=[call]), create=True)
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/session?id=s")
        await is_live(look.page)
        await expect(look.page.locator("#m1").get_by_text("no answer yet")).to_be_visible()
        await one.append("s", Message.tool("forty-two", tool_call_id="c"))

        await expect(look.page.locator("#m1").get_by_text("answered")).to_be_visible()
        await look.page.locator("#m1 summary").click()
        await expect(look.page.locator("#m1").get_by_text("forty-two")).to_be_visible()


@pytest.mark.slow
async def test_many_at_once_are_not_all_sent(one: SessionStore, browser: Browser) -> None:
    await one.append("s", *[Message.user("x" * 200) for _ in range(80)], create=True)
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/session?id=s")
        await is_live(look.page)
        await expect(look.page.locator("#m80")).to_be_in_viewport()
        await one.append("s", *[Message.user(f"message {seq}") for seq in range(81, 1001)])

        # Who stands at the end stays there.
        await expect(look.page.locator("#m1000")).to_be_in_viewport()
        shown = await sequences(look.page)
        assert shown == [*range(shown[0], 1001)]


@pytest.mark.slow
async def test_who_reads_further_up_is_told_and_left_there(one: SessionStore, browser: Browser) -> None:
    await one.append("s", *[Message.user("x" * 200) for _ in range(300)], create=True)
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/session?id=s&around=100#m100")
        await is_live(look.page)
        await expect(look.page.locator("#m100")).to_be_in_viewport()
        await one.append("s", Message.user("the newest"))
        await look.page.get_by_role("button", name="1 new").click()

        await expect(look.page.get_by_text("the newest", exact=True)).to_be_in_viewport()
        await expect(look.page.get_by_role("button", name="new")).to_be_hidden()


@pytest.mark.slow
async def test_other_parts_and_the_counts_follow(one: SessionStore, browser: Browser) -> None:
    await one.append("s", Message.user("hello"), create=True)
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/session?id=s&view=state")
        await is_live(look.page)
        await one.state("s").set("mood", "sunny")
        await one.append("s", {"type": "x"}, log="events")
        await one.update("s", tags=["later"])

        await expect(look.page.get_by_text('"sunny"')).to_be_visible()
        await expect(look.page.get_by_role("link", name="Events 1")).to_be_visible()
        await expect(look.page.locator("#facts").get_by_text("later")).to_be_visible()


@pytest.mark.slow
async def test_a_log_that_was_empty_fills(one: SessionStore, browser: Browser) -> None:
    await one.create("s")
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/session?id=s")
        await is_live(look.page)
        await one.append("s", Message.user("the first"))
        await expect(look.page.get_by_text("the first")).to_be_visible()


async def test_a_session_that_goes_says_so(one: SessionStore, browser: Browser) -> None:
    await one.append("s", Message.user("hello"), create=True)
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/session?id=s")
        await is_live(look.page)
        await one.delete("s")
        await expect(look.page.get_by_text("This session was deleted.")).to_be_visible()
        await expect(look.page.get_by_text("hello")).to_be_visible()


@pytest.mark.slow
async def test_a_tenants_session_stays_the_tenants(one: SessionStore, browser: Browser) -> None:
    acme = one.tenant("acme")
    await acme.append("s", *[Message.user(f"acme {seq}") for seq in range(1, 101)], create=True)
    await one.append("s", Message.user("not acme"), create=True)
    async with served(one) as viewer, looking(browser, viewer) as look:
        page = look.page
        await look.go("/session?id=s&tenant=acme")
        await is_live(page)
        await expect(page.locator("#m100")).to_contain_text("acme 100")
        await acme.append("s", Message.user("acme 101"))
        await expect(page.locator("#m101")).to_contain_text("acme 101")
        for name in ("State", "Record", "Conversation", "Raw entry 101", "In its place"):
            await page.get_by_role("link", name=name).first.click()
            assert "tenant=acme" in page.url
        await expect(page.locator("#m101")).to_contain_text("acme 101")
