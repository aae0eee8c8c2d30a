"""The list of sessions while it is open: what other processes do is told, and nothing jumps."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator

import httpx
from playwright.async_api import Browser, expect

from miniagent_store import Message, SessionStore
from tests.web.browser import looking
from tests.web.served import served

OTHER = """\
import asyncio, sys
from miniagent_store import Message, open_store

async def main():
    async with open_store(sys.argv[1]) as store:
        await store.append("seen", Message.user("x"), Message.user("y"))
        await store.create("new", user_id="ada", ttl="10m")
        await store.create("of-bob", user_id="bob")
        await store.delete("left")
        await store.touch("seen")

asyncio.run(main())
"""


async def other_process(url: str) -> None:
    """Another process changes a few sessions."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", OTHER, url)
    assert await process.wait() == 0


async def test_what_another_process_does(store: SessionStore, store_url: str, browser: Browser) -> None:
    for session_id in ("seen", "left", "still"):
        await store.create(session_id, user_id="ada")

    async with served(store) as viewer, looking(browser, viewer) as look:
        rows = look.page.locator("tbody tr")
        await expect(look.page.get_by_text("Live", exact=True)).to_be_visible()
        await expect(look.page.locator("[data-counter=sessions]")).to_have_text("3")

        await other_process(store_url)

        await expect(look.page.get_by_role("link", name="2 new: show them")).to_be_visible()
        await expect(look.page.locator("[data-counter=sessions]")).to_have_text("4")
        await expect(look.page.locator("[data-counter=messages]")).to_have_text("2")
        await expect(look.page.locator("[data-counter=expiring]")).to_have_text("1")
        await expect(look.page.locator("[data-counter=active]")).to_have_text("4")
        # Each where it stood.
        assert await rows.locator(".id").all_inner_texts() == ["still", "left", "seen"]
        await expect(rows.nth(2).locator("[data-cell=messages]")).to_have_text("2")
        await expect(rows.nth(1).get_by_text("deleted")).to_be_visible()
        await expect(rows.nth(0).get_by_text("deleted")).to_be_hidden()

        await look.page.get_by_role("link", name="2 new: show them").click()
        await expect(rows.first.locator(".id")).to_have_text("of-bob")
        assert await rows.locator(".id").all_inner_texts() == ["of-bob", "new", "seen", "still"]
        assert look.complaints == []


async def test_only_what_fits_is_told(one: SessionStore, one_url: str, browser: Browser) -> None:
    for session_id in ("seen", "left"):
        await one.create(session_id, user_id="ada")

    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/?user=ada&within=1h")
        await expect(look.page.get_by_text("Live", exact=True)).to_be_visible()
        await other_process(one_url)
        await expect(look.page.get_by_role("link", name="1 new: show it")).to_be_visible()


async def events(client: httpx.AsyncClient, **headers: str) -> AsyncIterator[tuple[str, str, object]]:
    """Name, id and data of each event of the list's stream."""
    async with client.stream("GET", "/sessions-live", params={"after": "0"}, headers=headers) as answer:
        name = last = ""
        async for line in answer.aiter_lines():
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "id":
                last = value
            elif field == "data":
                yield name, last, json.loads(value)


async def changed(client: httpx.AsyncClient, **headers: str) -> tuple[set[str], str]:
    """The sessions of the next event that tells of some, and its id."""
    async for name, last, data in events(client, **headers):
        if name == "changed":
            assert isinstance(data, dict)
            return {each["id"] for each in data["sessions"]}, last
    raise AssertionError("the stream ended")


async def test_a_stream_that_was_cut_goes_on(store: SessionStore) -> None:
    await store.create("first")

    async with served(store) as viewer, httpx.AsyncClient(base_url=viewer.origin, timeout=30) as client:
        await client.get(viewer.link)
        told, last = await changed(client)
        assert told == {"first"}
        # Meanwhile nobody looks.
        await asyncio.sleep(0.01)
        await store.create("second")
        told, _ = await changed(client, **{"Last-Event-ID": last})
        assert "second" in told


async def test_much_that_happens_is_told_seldom(one: SessionStore) -> None:
    await one.create("busy")

    async with served(one) as viewer, httpx.AsyncClient(base_url=viewer.origin, timeout=30) as client:
        await client.get(viewer.link)
        told = 0
        began = time.monotonic()
        writing = asyncio.create_task(_write(one))
        async for name, _, data in events(client):
            told += name == "changed"
            if name == "counters" and isinstance(data, dict) and data["messages"] == "300":
                break
        await writing
        # One look a second, each with a "changed" at most, and the first.
        assert told <= time.monotonic() - began + 2


async def _write(store: SessionStore) -> None:
    for _ in range(300):
        await store.append("busy", Message.user("x"))
