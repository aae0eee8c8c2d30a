"""One session in a browser: what is said, how it is stored, what was, what is broken."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, expect

from miniagent_store import Key, Keyring, Message, SessionStore, open_store
from tests.web.axe import findings
from tests.web.browser import looking
from tests.web.served import TOKEN, served
from tests.web.world import TALK, furnish

OLD, NEW = Key(bytes(range(32)), "old"), Key(bytes(range(1, 33)), "new")


async def talk(store: SessionStore, count: int, session_id: str = "long") -> None:
    await store.create(session_id)
    for start in range(1, count + 1, 500):
        some = range(start, min(start + 500, count + 1))
        await store.append(session_id, *[Message.user(f"message {seq}") for seq in some])


@pytest.mark.slow
async def test_a_conversation_as_people_read_it(store: SessionStore, browser: Browser) -> None:
    await furnish(store)
    await store.redact(TALK, 10, reason="asked by ada")

    async with served(store) as viewer, looking(browser, viewer) as look:
        page = look.page
        await look.go(f"/session?id={TALK}")
        await expect(page.locator(".entry")).to_have_count(12)

        await expect(page.locator("#m2")).to_contain_text("tiles <b>and</b> old trams")
        await expect(page.locator("#m12")).to_contain_text("<script>alert('hello')</script>")
        await expect(page.locator("#m3").get_by_role("cell", name="Alfama, on foot")).to_be_visible()
        await expect(page.locator("#m8 img")).to_have_js_property("naturalWidth", 96)
        await expect(page.locator("#m10")).to_contain_text("asked by ada")
        call = page.locator("#m5 details")
        await expect(call.get_by_text("answered")).to_be_visible()
        await expect(call.get_by_text('"days": 2')).to_be_hidden()
        await call.locator("summary").click()
        await expect(call.get_by_text('"days": 2')).to_be_visible()
        await expect(call.get_by_text('"rain_mm"')).to_be_visible()

        assert (look.complaints, look.elsewhere) == ([], [])


async def test_nothing_in_a_conversation_does_anything(one: SessionStore, browser: Browser) -> None:
    await furnish(one)
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go(f"/session?id={TALK}")
        await expect(look.page.locator("#m12")).to_contain_text("<script>alert('hello')</script>")
        await expect(look.page.locator("#live")).to_have_attribute("data-state", "open")
        assert (look.complaints, look.elsewhere) == ([], [])


async def test_a_raw_entry_and_its_envelope(tmp_path: Path, browser: Browser) -> None:
    url = f"sqlite:///{tmp_path}/s.db?serializer=msgpack%2Bzstd%2Baesgcm"
    async with (
        open_store(url, keyring=Keyring([OLD])) as store,
        served(store) as viewer,
        looking(browser, viewer) as look,
    ):
        await store.append("s", Message.user("hello " * 100, mood="good"), create=True)
        await look.go("/session?id=s")
        await look.page.get_by_role("link", name="Raw entry 1").click()

        envelope = look.page.get_by_role("region", name="Envelope")
        for text in ("msgpack", "zstd", "aesgcm", "encrypted", OLD.id.hex()):
            await expect(envelope.get_by_text(text, exact=True)).to_be_visible()
        await expect(look.page.get_by_text('"mood": "good"')).to_be_visible()
        await look.page.get_by_role("link", name="In its place").click()
        await expect(look.page.locator("#m1")).to_be_focused()
        assert look.complaints == []


@pytest.mark.slow
async def test_a_raw_entry_leads_to_what_can_be_done_with_it(one: SessionStore, browser: Browser) -> None:
    await talk(one, 3, "s")
    async with served(one, allow_write=True) as viewer, looking(browser, viewer) as look:
        page = look.page
        await look.go("/session-entry?id=s&seq=2")
        for name, question in (
            ("Fork up to here", "Fork"),
            ("Rewind to here", "Rewind"),
            ("Redact", "Redact"),
        ):
            await page.get_by_role("link", name=name).click()
            await expect(page.get_by_role("dialog").get_by_role("heading", name=question)).to_be_visible()
            await page.keyboard.press("Escape")
        await page.get_by_role("link", name="Redact").click()
        await page.get_by_role("textbox").last.fill("asked by ada")
        await page.get_by_role("button", name="Redact").click()
        await expect(page.get_by_text("Done: redact")).to_be_visible()
        await look.go("/session?id=s")
        await expect(page.locator("#m2")).to_contain_text("asked by ada")
        assert look.complaints == []


@pytest.mark.slow
async def test_other_logs_state_and_record(store: SessionStore, browser: Browser) -> None:
    await furnish(store)
    await store.append(TALK, {"anything": [1, 2]}, log="audit")

    async with served(store) as viewer, looking(browser, viewer) as look:
        page, parts = look.page, look.page.get_by_role("navigation", name="Parts of this session")
        await look.go(f"/session?id={TALK}")
        await parts.get_by_role("link", name="Events 1").click()
        await expect(page.get_by_text("model.called")).to_be_visible()
        await parts.get_by_role("link", name="audit 1").click()
        await expect(page.get_by_text("anything=[1, 2]")).to_be_visible()
        await parts.get_by_role("link", name="State").click()
        await expect(page.get_by_text('"Lisbon"')).to_be_visible()
        await page.get_by_text("currency=").click()
        await expect(page.get_by_text('"per_day": 120')).to_be_visible()
        await parts.get_by_role("link", name="Record").click()
        await expect(page.get_by_text('"channel": "web"')).to_be_visible()
        await expect(page.get_by_text(str((await store.get(TALK)).position))).to_be_visible()


@pytest.mark.slow
async def test_state_is_paged_and_damaged_values_stand_in_it(tmp_path: Path, browser: Browser) -> None:
    async with open_store(f"sqlite:///{tmp_path}/s.db") as store:
        await store.create("s")
        async with store.batch("s") as batch:
            for number in range(450):
                batch.state.set(f"name {number:03}", {"value": number})
        _change(tmp_path, "UPDATE state SET payload = x'c1' WHERE name = 'name 202'")

        async with served(store) as viewer, looking(browser, viewer) as look:
            rows, page = look.page.locator("tbody tr"), look.page
            await look.go("/session?id=s&view=state")
            await expect(rows).to_have_count(200)
            await page.get_by_role("link", name="More").click()
            await expect(rows.first).to_contain_text("name 200")
            await expect(rows.nth(2)).to_contain_text("cannot be read")
            await page.get_by_role("link", name="More").click()
            await expect(rows).to_have_count(50)


@pytest.mark.slow
async def test_replay(store: SessionStore, browser: Browser) -> None:
    await furnish(store)
    async with served(store) as viewer, looking(browser, viewer) as look:
        page, entries = look.page, look.page.locator(".entry")
        await look.go(f"/session?id={TALK}")
        await page.get_by_role("link", name="Replay").click()
        await expect(entries).to_have_count(12)

        slider = page.get_by_role("slider")
        for _ in range(5):
            await slider.press("ArrowLeft")
        await expect(entries).to_have_count(7)
        await expect(page.get_by_text("No events yet")).to_be_visible()
        assert page.url.endswith("at=7")
        await slider.press("ArrowRight")
        await expect(page.get_by_role("link", name="up to #1")).to_be_visible()

        await slider.press("End")
        await slider.press("ArrowLeft")
        await page.get_by_role("button", name="Play").click()
        await expect(entries).to_have_count(12)
        await expect(page.get_by_role("button", name="Play")).to_be_visible()
        await page.get_by_role("link", name="what was set since").click()
        await expect(page.get_by_role("table")).to_be_visible()
        assert look.complaints == []


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
async def test_what_is_broken_says_so_in_its_place(tmp_path: Path, browser: Browser, scheme: str) -> None:
    async with open_store(f"sqlite:///{tmp_path}/s.db") as store:
        await talk(store, 10, "s")
        _change(tmp_path, "UPDATE entries SET payload = x'c1203001' WHERE seq = 4")
        _change(tmp_path, "DELETE FROM entries WHERE seq IN (6, 7)")

        async with served(store) as viewer, looking(browser, viewer, scheme=scheme) as look:
            page = look.page
            await look.go("/session?id=s")
            await expect(page.locator(".entry")).to_have_count(9)
            await expect(page.locator("#m4")).to_contain_text("The bytes cannot be read")
            await expect(page.locator("#m4")).to_contain_text("from a backup")
            await expect(page.locator("#m6")).to_contain_text("#6–7")
            await expect(page.locator("#m6")).to_contain_text("has lost entries")
            await expect(page.locator("#m8")).to_contain_text("message 8")
            assert await findings(page) == []

            await store.append("s", Message.user("more"))
            await expect(page.locator("#m11")).to_contain_text("more")
            await page.get_by_role("link", name="Raw entry 4").click()
            await expect(page.get_by_text("It cannot be read.", exact=True)).to_be_visible()
            assert (look.complaints, await findings(page)) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("shred", ["", "&shred=true"])
async def test_without_its_key_a_session_shows_what_it_can(
    tmp_path: Path, browser: Browser, shred: str
) -> None:
    url = f"sqlite:///{tmp_path}/s.db?serializer=encrypted{shred}"
    async with open_store(url, keyring=Keyring([OLD])) as store:
        await store.create("s", user_id="ada", metadata={"plan": "gold"})
        await store.append("s", Message.user("one"), Message.assistant("two"))
        await store.state("s").set("a", 1)

    async with (
        open_store(url, keyring=Keyring([NEW])) as store,
        served(store) as viewer,
        looking(browser, viewer) as look,
    ):
        page = look.page
        await look.go("/session?id=s")
        missing = f"Encrypted with key {OLD.id.hex()}, which is not in the key ring"
        await expect(page.get_by_text("ada", exact=True)).to_be_visible()
        await expect(page.locator(".entry").get_by_text(missing)).to_have_count(2)
        await expect(page.locator(".entry").first).to_contain_text("decrypt-only")
        await expect(page.locator(".entry").first).to_contain_text("aesgcm")
        for view in ("state", "record"):
            await look.go(f"/session?id=s&view={view}")
            await expect(page.get_by_text(missing).first).to_be_visible()


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/session?id=s&view=nothing", 404, "it has log, state, record"),
        ("/session?id=s&before=x", 400, "must be the number of an entry"),
        ("/session?id=s&at=-1", 400, "must be the number of an entry"),
        ("/session-entry?id=s&seq=99", 404, "There is no entry 99"),
        ("/session-entry?id=s", 404, "There is no entry"),
        ("/session-entry?id=s&log=none&seq=1", 404, "it is empty"),
        ("/session-live?id=s&after=x", 400, "not a position"),
        ("/session-live?id=none", 404, "none"),
        ("/session-entries?id=none", 404, "none"),
    ],
)
async def test_what_is_not_there(one: SessionStore, path: str, status: int, says: str) -> None:
    await talk(one, 3, "s")
    async with served(one) as viewer, httpx.AsyncClient(base_url=viewer.origin) as client:
        await client.get("/enter", params={"token": TOKEN})
        answer = await client.get(path)

        assert answer.status_code == status
        assert says in answer.text


async def test_who_may_not_read_sees_nothing_that_was_said(one: SessionStore, browser: Browser) -> None:
    canary = "canary"
    call = {"id": canary, "function": {"name": canary, "arguments": canary}}
    await one.create("s", metadata={canary: canary})
    await one.append(
        "s",
        Message.user(canary, name=canary),
        Message(canary, canary),
        Message.assistant([{"type": "text", "text": canary}], tool_calls=[call]),
        Message.tool(canary, tool_call_id=canary),
        {"type": canary},
    )
    await one.append("s", {"type": canary}, log="events")
    await one.state("s").set("name", canary)

    async with served(one, content=False) as viewer, looking(browser, viewer) as look:
        paths = [
            f"/session?id=s{more}" for more in ("", "&log=events", "&view=state", "&view=record", "&at=3")
        ]
        paths += ["/session-entries?id=s", *(f"/session-entry?id=s&seq={seq}" for seq in range(1, 6))]
        for path in paths:
            answer = await look.page.request.get(viewer.origin + path)
            assert answer.ok
            assert canary not in await answer.text(), path

        await look.go("/session?id=s")
        await one.append("s", Message.user(canary))
        await expect(look.page.locator("#m6")).to_contain_text("not shown")
        assert canary not in await look.page.content()


def _change(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "s.db") as connection:
        connection.execute(statement)
    connection.close()
