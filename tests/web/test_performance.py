"""The page of performance, in a browser: what it shows, that it goes on, and what it costs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from playwright.async_api import Browser, Locator, expect

from miniagent_store import Message, Operation, SessionStore, hookimpl, open_store
from miniagent_store.testing.servers import Server
from miniagent_store.web.measuring import counting, gauge
from tests.web.browser import Look, looking
from tests.web.served import Viewer, served

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks come faster than people need them."""
    monkeypatch.setattr(gauge, "EVERY", 0.2)


def tile(look: Look, name: str) -> Locator:
    return look.page.locator(".tile", has_text=name).locator("dd")


async def test_it_shows_a_store_and_what_happens_in_it(
    store: SessionStore, store_url: str, browser: Browser
) -> None:
    small, big = await store.create(user_id="ada"), await store.create(user_id="grace", ttl="2h")
    await store.append(small.id, Message.user("Hello"))
    await store.append(big.id, *(Message.user("x" * 1000) for _ in range(20)))

    async with served(store) as viewer, looking(browser, viewer) as look:
        await look.go("/performance")
        page = look.page
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        await expect(tile(look, "Sessions")).to_have_text("2")
        await expect(tile(look, "Messages").first).to_have_text("21")
        await expect(page.get_by_text("Of all 2 sessions")).to_be_visible()
        biggest = page.get_by_role("region", name="Biggest sessions").get_by_role("link")
        await expect(biggest.first).to_have_text(big.id)
        expiring = page.get_by_role("region", name="Time to live").get_by_role("row")
        await expect(expiring.filter(has_text="within 1 d")).to_contain_text("1")
        await expect(expiring.filter(has_text="never")).to_contain_text("1")

        async with open_store(store_url) as agent, agent.lock("budget"):
            taking = asyncio.create_task(agent.lock("budget").__aenter__())
            await agent.append(small.id, Message.user("Are you there?"))
            await expect(tile(look, "Messages").first).to_have_text("22")
            busiest = page.get_by_role("region", name="Busiest sessions")
            await expect(busiest.get_by_role("link", name=small.id)).to_be_visible()
            await expect(page.locator("[data-plot=throughput] .u-legend")).to_contain_text("Commits")
            taking.cancel()
            with suppress(asyncio.CancelledError):
                await taking
        assert await page.locator(".plot canvas").count() == 4
        assert look.complaints == []
        assert look.elsewhere == []


async def test_names_are_text(one: SessionStore, browser: Browser) -> None:
    session = await one.create(EVIL, user_id=EVIL, agent=EVIL)
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/performance")
        await expect(look.page.get_by_text("Live", exact=True)).to_be_visible()
        await one.append(session.id, Message.user("now it is busy"))

        for region in ("Busiest sessions", "Biggest sessions"):
            row = look.page.get_by_role("region", name=region).get_by_role("row", name=EVIL)
            await expect(row).to_contain_text(EVIL)
        assert await look.page.locator("img[src=x]").count() == 0
        assert look.complaints == []


async def test_what_somebody_reads_is_not_replaced_under_their_hands(
    one: SessionStore, browser: Browser
) -> None:
    session = await one.create()
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/performance")
        await one.append(session.id, Message.user("1"))
        busiest = look.page.get_by_role("region", name="Busiest sessions")
        await busiest.get_by_role("link").focus()
        await one.append(session.id, Message.user("2"), Message.user("3"))
        await expect(tile(look, "Messages").first).to_have_text("3")
        await expect(busiest.get_by_role("link")).to_be_focused()

        await look.page.get_by_role("link", name="Look deeper").focus()
        await expect(busiest.get_by_role("row", name=session.id)).to_contain_text("3")


async def test_a_hidden_tab_is_paused_and_goes_on_where_it_stopped(
    one: SessionStore, browser: Browser
) -> None:
    hide = "(it) => {Object.defineProperty(document, 'hidden', {value: it, configurable: true});"
    tell = "document.dispatchEvent(new Event('visibilitychange'))}"
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/performance")
        await expect(look.page.get_by_text("Live", exact=True)).to_be_visible()
        await look.page.evaluate(hide + tell, True)
        await expect(look.page.get_by_text("Paused", exact=True)).to_be_visible()
        await one.create()
        await look.page.evaluate(hide + tell, False)

        await expect(look.page.get_by_text("Live", exact=True)).to_be_visible()
        await expect(tile(look, "Sessions")).to_have_text("1")


async def test_a_server_that_goes_and_comes_back(browser: Browser) -> None:
    with Server() as server:
        async with (
            open_store(f"{server.url}/0?deadline=0.5s") as store,
            served(store) as viewer,
            looking(browser, viewer) as look,
        ):
            await store.create()
            await look.go("/performance")
            await expect(tile(look, "Sessions")).to_have_text("1")
            await expect(look.page.get_by_role("table").get_by_text(server.url)).to_be_visible()
            await expect(look.page.get_by_text("Set appendonly yes.")).to_be_visible()
            server.kill()
            await expect(look.page.get_by_text("Not reached", exact=True)).to_be_visible()
            server.start()

            await expect(look.page.get_by_text("Well, with warnings")).to_be_visible()
            await expect(tile(look, "Sessions")).to_have_text("0")


async def test_a_deep_look_is_taken_on_request(one: SessionStore, browser: Browser) -> None:
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/performance")
        await look.page.get_by_role("link", name="Look deeper").click()

        await expect(look.page.get_by_text("as far as a deep look shows")).to_be_visible()
        await look.page.get_by_role("link", name="Back to what is live").click()
        await expect(look.page.get_by_text("Nothing is wrong.")).to_be_visible()


@asynccontextmanager
async def _visitor(viewer: Viewer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=viewer.origin, timeout=20) as client:
        await client.get(viewer.link)
        yield client


async def _first_points(client: httpx.AsyncClient, after: str = "") -> tuple[str, str]:
    """The name of the first event with points, and its id."""
    async with client.stream("GET", "/performance-live", params={"after": after}) as answer:
        name = told = ""
        async for line in answer.aiter_lines():
            field, _, value = line.partition(": ")
            if field == "id":
                told = value
            elif field == "event":
                name = value
            elif name and told and not line:
                return name, told
    raise AssertionError("the stream ended")


async def test_it_can_be_read_without_scripts(one_url: str) -> None:
    async with open_store(f"{one_url}&measure=true&analytics=true") as store:
        session = await store.create()
        await store.append(session.id, Message.user("Hello"))
        # What is used is written a little later, or when it is asked for.
        await store.usage()
        async with served(store) as viewer, _visitor(viewer) as client:
            text = (await client.get("/performance")).text

    for said in ("The plots as a table", "Times of operations", "append", "By day, UTC", session.id):
        assert said in text
    assert "Messages a day are counted by" not in text
    assert "A store that is opened with" not in text


async def test_a_stream_goes_on_where_it_was_cut(one: SessionStore) -> None:
    async with served(one) as viewer, _visitor(viewer) as client:
        name, first = await _first_points(client)
        assert name == "all"
        name, second = await _first_points(client, first)

        assert name == "more"
        assert first.split("-")[0] == second.split("-")[0]
        assert int(second.split("-")[1]) > int(first.split("-")[1])
        for by_hand in ("0-1", "x", f"{first}9999999999999999999999", "-", f"{first.split('-')[0]}-²"):
            assert (await _first_points(client, by_hand))[0] in {"all", "more"}


async def test_many_who_watch_cost_as_much_as_one_and_none_cost_nothing(
    one_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauge, "LINGER", 0.5)
    calls: Counter[str] = Counter()

    class Count:
        @hookimpl
        def observe(self, operation: Operation) -> None:
            calls[operation.name] += 1

    async with open_store(one_url, plugins=[Count()]) as store:
        for _ in range(20):
            await store.create()
        gauges = gauge.Gauges()
        calls.clear()
        looks = 6

        async def watch() -> None:
            shared = gauges.of(store)
            while shared.number < looks:
                assert await shared.looked(shared.number)

        await asyncio.gather(*(watch() for _ in range(25)))
        task = gauges.of(store).task
        assert looks <= calls["stats"] <= looks + 1
        at_first = calls["health"] + calls["count_expiring"] + calls["usage"] + 1
        assert at_first <= 6
        assert calls.total() - at_first - calls["watch"] <= looks * (2 + gauge.NAMED)

        async with asyncio.timeout(20):
            await task
        calls.clear()
        await asyncio.sleep(0.6)
        assert calls.total() == 0


async def test_a_gauge_ends_with_its_store(one_url: str) -> None:
    store = await open_store(one_url).open()
    shared = gauge.Gauges().of(store)
    assert await shared.looked(0)
    await store.close()

    async with asyncio.timeout(20):
        assert not await shared.looked(10_000)


async def test_sessions_are_counted_a_page_at_a_time(
    one: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "PAGE", 10)
    monkeypatch.setattr(counting, "PAUSE", 0.01)
    for _ in range(25):
        await one.create(ttl="never")
    count = counting.Counting(one)
    running = asyncio.create_task(count.run())
    seen = set[int]()
    async with asyncio.timeout(20):
        while not count.complete:
            seen.add(count.census.sessions if count.census else 0)
            await asyncio.sleep(0.001)
    running.cancel()

    assert count.census is not None
    assert (count.census.sessions, count.census.expiring["never"]) == (25, 25)
    assert 10 in seen


async def test_a_tenant_sees_its_own(one: SessionStore, browser: Browser) -> None:
    acme = one.tenant("acme")
    await one.create("of-nobody")
    await acme.create("of-acme")
    async with served(one) as viewer, looking(browser, viewer) as look:
        await look.go("/performance?tenant=acme")
        await expect(look.page.get_by_text("Live", exact=True)).to_be_visible()
        await expect(tile(look, "Sessions")).to_have_text("1")
        await acme.append("of-acme", Message.user("Hello"))
        busiest = look.page.get_by_role("region", name="Busiest sessions").get_by_role("link")
        await expect(busiest).to_have_text("of-acme")
        assert await look.page.get_by_text("of-nobody").count() == 0

        await busiest.click()
        await expect(look.page.get_by_text("Hello", exact=True)).to_be_visible()
