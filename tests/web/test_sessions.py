"""The list of sessions in a browser: pages, search, filters, tenants, keys; and what was made by hand."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from playwright.async_api import Browser, expect

from miniagent_store import Key, Keyring, Message, SessionStore, open_store
from miniagent_store.web import finding
from tests.web.browser import Look, looking
from tests.web.kinds import mostly_sqlite
from tests.web.served import Viewer, served

# Put into every field of every kind.
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"


@asynccontextmanager
async def visiting(viewer: Viewer) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a browser, let in."""
    async with httpx.AsyncClient(base_url=viewer.origin, timeout=30) as client:
        await client.get(viewer.link)
        yield client


async def ids(look: Look) -> list[str]:
    """Of the sessions that the page shows."""
    return await look.page.locator("tbody .id").all_inner_texts()


async def create(store: SessionStore, sessions: int) -> list[str]:
    """So many sessions; their ids, the last one first."""
    names = [f"talk-{number:03}" for number in range(sessions)]
    for first in range(0, sessions, 20):
        await asyncio.gather(
            *(
                store.create(name, user_id=f"user-{name[-1]}", agent="guide", tags=[f"t{name[-2]}"])
                for name in names[first : first + 20]
            )
        )
    return names[::-1]


@mostly_sqlite
async def test_pages_forth_and_back(
    store: SessionStore, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "PAGE", 20)
    names = await create(store, 50)

    async with served(store) as viewer, looking(browser, viewer) as look:
        following = look.page.get_by_role("link", name="Next")
        previous = look.page.get_by_role("link", name="Previous")
        pages = [await ids(look)]
        for number in (2, 3):
            await following.click()
            await expect(look.page.get_by_text(f"Page {number} ·")).to_be_visible()
            pages.append(await ids(look))
        await expect(following).to_have_count(0)
        assert [len(page) for page in pages] == [20, 20, 10]
        assert sorted(name for page in pages for name in page) == sorted(names)

        for number in (2, 1):
            await previous.click()
            await expect(look.page.get_by_text(f"Page {number} ·")).to_be_visible()
            assert await ids(look) == pages[number - 1]
        await expect(previous).to_have_count(0)

        await look.page.go_back()
        await expect(look.page.get_by_text("Page 2 ·")).to_be_visible()
        assert await ids(look) == pages[1]
        await look.page.get_by_role("columnheader", name="Active").get_by_role("link").click()
        await expect(look.page.get_by_role("columnheader", name="Active")).to_have_attribute(
            "aria-sort", "ascending"
        )
        assert (await ids(look))[:10] == pages[2][::-1]
        assert look.complaints == []
        assert look.elsewhere == []


@mostly_sqlite
async def test_a_search_and_filters(store: SessionStore, browser: Browser) -> None:
    await create(store, 60)
    await store.create("another", user_id="talk", ttl="20m", tags=["talk-room"])

    async with served(store) as viewer, looking(browser, viewer) as look:
        field, show = look.page.get_by_label("Search"), look.page.get_by_role("button", name="Show")
        await field.fill("ALK-04")
        await show.click()
        await expect(look.page.get_by_text("looked at 61 sessions")).to_be_visible()
        assert await ids(look) == [f"talk-04{number}" for number in range(9, -1, -1)]

        await look.page.get_by_label("User").fill("user-7")
        await show.click()
        await expect(look.page.get_by_role("link", name="Remove: User user-7")).to_be_visible()
        assert await ids(look) == ["talk-047"]

        await look.page.get_by_role("link", name="Remove: Search ALK-04").click()
        await expect(look.page.get_by_text("6 sessions")).to_be_visible()
        await look.page.locator("tbody tr").nth(1).get_by_role("link", name="t4").click()
        await expect(look.page.get_by_role("link", name="Remove: Tag t4")).to_be_visible()
        assert await ids(look) == ["talk-047"]

        await look.page.get_by_role("link", name="Expire within 1 h").click()
        await expect(look.page.get_by_role("link", name="Remove: Expires within 1h")).to_be_visible()
        assert await ids(look) == ["another"]

        await look.go("/?q=talk")
        await look.page.get_by_role("link", name="User talk").click()
        await expect(look.page.get_by_role("link", name="Remove: User talk")).to_be_visible()
        assert await ids(look) == ["another"]
        assert look.complaints == []


async def test_a_long_search_goes_on_when_asked(
    one: SessionStore, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "MOST", 30)
    monkeypatch.setattr(finding, "CHUNK", 20)
    await create(one, 60)
    await one.create("needle", tags=["sharp"])
    await create_newer(one, 40)

    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/?q=eedl")
        await expect(look.page.get_by_text("None among the 30 sessions looked at.")).to_be_visible()
        await look.page.get_by_role("link", name="Look at the next").click()
        await expect(look.page.get_by_role("link", name="needle")).to_be_visible()
        # What has this name as a whole is known at once.
        await look.go("/?q=needle")
        await expect(look.page.get_by_role("link", name="Open the session needle")).to_be_visible()


async def create_newer(store: SessionStore, sessions: int) -> None:
    await asyncio.gather(*(store.create(f"newer-{number}") for number in range(sessions)))


async def test_keys(one: SessionStore, browser: Browser) -> None:
    await create(one, 3)

    async with served(one) as viewer, looking(browser, viewer) as look:
        await expect(look.page.get_by_role("button", name="Keyboard help")).to_be_visible()
        await look.page.keyboard.press("/")
        await look.page.keyboard.type("talk")
        await look.page.keyboard.press("Enter")
        await expect(look.page.get_by_role("link", name="Remove: Search talk")).to_be_visible()
        await expect(look.page.get_by_role("button", name="Keyboard help")).to_be_visible()
        for key in "jjk":
            await look.page.keyboard.press(key)
        await expect(look.page.get_by_role("link", name="talk-002")).to_be_focused()
        await look.page.keyboard.press("Enter")
        await expect(look.page.get_by_role("heading", name="talk-002")).to_be_visible()


@mostly_sqlite
async def test_tenants_are_switched(store: SessionStore, browser: Browser) -> None:
    await store.create("of-the-store")
    await store.tenant("acme").append("of-acme", Message.user("a word of acme"), create=True)
    await store.tenant("acme").tenant("eu").append("of-acme-eu", Message.user("x"), create=True)

    async with served(store) as viewer, looking(browser, viewer) as look:
        assert await ids(look) == ["of-the-store"]
        await look.page.get_by_role("link", name="Tenants").click()
        await look.page.get_by_role("link", name="acme", exact=True).click()
        await expect(look.page.get_by_role("link", name="of-acme")).to_be_visible()
        assert await ids(look) == ["of-acme"]

        # Every link keeps it: a filter's, a form's, a session's, the header's.
        await look.page.get_by_label("Search").fill("of")
        await look.page.get_by_role("button", name="Show").click()
        await expect(look.page.get_by_text("looked at 1 session")).to_be_visible()
        assert await ids(look) == ["of-acme"]
        await look.page.get_by_role("link", name="of-acme").click()
        await expect(look.page.get_by_text("a word of acme")).to_be_visible()
        await look.page.get_by_role("navigation", name="Pages").get_by_role("link", name="Sessions").click()
        await expect(look.page.get_by_role("link", name="of-acme")).to_be_visible()

        await look.page.get_by_role("link", name="Switch tenant").click()
        await look.page.get_by_role("link", name="eu", exact=True).click()
        await expect(look.page.get_by_role("link", name="of-acme-eu")).to_be_visible()
        await look.go("/session?id=of-acme")
        await expect(look.page.get_by_role("heading", name="Not Found")).to_be_visible()
        await look.go("/?tenant=ac/me")
        await expect(look.page.get_by_role("heading", name="Bad Request")).to_be_visible()
        await look.page.get_by_role("link", name="All sessions").click()
        await expect(look.page.get_by_role("link", name="of-the-store")).to_be_visible()


CURSORS = ["x", "é", "' OR 1=1 --", json.dumps(["last_activity", 1, "s"]), '["-last_activity", 1e999, "s"]']


async def test_a_cursor_made_by_hand_is_refused(store: SessionStore) -> None:
    await create(store, 2)

    async with served(store) as viewer, visiting(viewer) as client:
        for cursor in (*CURSORS, *(base64.urlsafe_b64encode(each.encode()).decode() for each in CURSORS)):
            answer = await client.get("/", params={"cursor": cursor})
            assert answer.status_code == 400
            assert "not a cursor of this listing" in answer.text


WRONG = [
    "since=soon",
    "within=-1h",
    "user={",
    "agent=%00",
    "kind={",
    "tag=%7B",
    "tenant=../x",
    "tenant=a..b",
]
FIELDS = ["q", "user", "agent", "tag", "kind", "since", "within", "order", "page", "trail", "tenant", "x"]


async def test_other_fields_made_by_hand(one: SessionStore) -> None:
    await create(one, 2)

    async with served(one) as viewer, visiting(viewer) as client:
        for path in ("/", "/tenants"):
            for query in (*WRONG, *(urlencode({field: SCRIPT}) for field in FIELDS)):
                answer = await client.get(f"{path}?{query}")
                assert answer.status_code in (200, 400), query
                assert "<script>" not in answer.text
                assert "onerror=alert(2)>" not in answer.text
        for query in ("since=soon", "within=-1h", "tenant=../x"):
            assert (await client.get(f"/sessions-live?{query}")).status_code == 400
        async with client.stream("GET", f"/sessions-live?{urlencode({'after': SCRIPT})}") as answer:
            assert answer.status_code == 200


async def test_script_in_every_field_is_text(one: SessionStore, browser: Browser) -> None:
    await one.create(SCRIPT, user_id=SCRIPT, agent=SCRIPT, tags=[SCRIPT], metadata={SCRIPT: SCRIPT})

    async with served(one) as viewer, looking(browser, viewer) as look:
        for query in ({"q": SCRIPT}, {"user": SCRIPT, "agent": SCRIPT, "tag": SCRIPT}):
            await look.go(f"/?{urlencode(query)}")
            await expect(look.page.locator("tbody .id")).to_have_text(SCRIPT)
            await expect(look.page.locator("tbody .tags")).to_have_text(SCRIPT)
        await look.page.locator("tbody .id").click()
        await expect(look.page.get_by_role("heading", name=SCRIPT)).to_be_visible()
        assert look.complaints == []


async def test_a_session_whose_key_is_missing_is_listed(tmp_path: Path, browser: Browser) -> None:
    url = f"sqlite:///{tmp_path}/s.db?serializer=msgpack%2Bencrypted"
    async with open_store(url, keyring=Keyring([Key.generate()])) as store:
        await store.create("of-an-old-key", user_id="ada", metadata={"secret": 1})

    async with open_store(url, keyring=Keyring([Key.generate()])) as store:
        await store.create("of-this-key")
        async with served(store) as viewer, looking(browser, viewer) as look:
            assert await ids(look) == ["of-this-key", "of-an-old-key"]
            await look.go("/?q=an-old")
            assert await ids(look) == ["of-an-old-key"]
