"""Whatever a field holds is text: in a browser nothing of it runs, is loaded or followed."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, expect

from miniagent_store import SessionStore
from tests.web.asking import app_of, asking
from tests.web.browser import Look, looking
from tests.web.crawling import pages_of
from tests.web.hostile import NAME, TEXT, fill, say
from tests.web.served import listening

# What no page of ours has, wherever it came from.
STRANGE = """() => {
    const addresses = ["href", "src", "action", "formaction", "data", "xlink:href", "poster"];
    const ours = /^(\\/(?!\\/)|#|\\?|data:image\\/)/, link = /^https?:\\/\\//;
    const isStrange = (each, { name, value }) => /^on/i.test(name) || name === "srcdoc"
        || (addresses.includes(name) && !ours.test(value) && !(each.tagName === "A" && link.test(value)));
    return [...document.querySelectorAll("*")].filter((each) =>
        [...each.attributes].some((attribute) => isStrange(each, attribute))
        || ["IFRAME", "OBJECT", "EMBED", "BASE", "STYLE"].includes(each.tagName)
        || (each.tagName === "SCRIPT" && (each.textContent || !each.src))
    ).map((each) => each.outerHTML);
}"""
QUERIES = (
    {"id": NAME},
    {"id": NAME, "log": "events", "seq": "1", "view": "state"},
    {"id": NAME, "log": NAME[:60], "seq": "1", "at": "3", "with": NAME, "with_at": "9"},
    {"id": NAME, "view": "record"},
    {"id": TEXT, "user_id": TEXT, "user": TEXT, "agent": TEXT, "q": TEXT, "text": TEXT, "tag": NAME},
)
# By default two acts stand for all.
FEW = dict.fromkeys(("/act/touch", "/act/ttl", "/act/fork", "/act/rewind", "/act/clear", "/act/undo"), ())


async def test_in_a_browser_nothing_runs(one: SessionStore, browser: Browser) -> None:
    await _look_at_all(one, browser, thoroughly=False)


@pytest.mark.slow
async def test_on_no_store(store: SessionStore, browser: Browser) -> None:
    await _look_at_all(store, browser, thoroughly=True)


async def _look_at_all(one: SessionStore, browser: Browser, *, thoroughly: bool) -> None:
    await fill(one)
    app = app_of(one, allow_write=True)
    pages = [
        path
        for path, route in pages_of(app).items()
        if "GET" in (route.methods or ())
        and not path.endswith(("-live", "/enter", "/export", "/fails", "/form-token"))
    ]
    async with listening(app) as viewer, looking(browser, viewer) as look:
        for path in pages:
            for query in QUERIES if thoroughly or path == "/session" else FEW.get(path, QUERIES[:1]):
                answer = await look.page.goto(f"{viewer.origin}{path}?{urlencode(query)}")
                assert answer is not None
                assert answer.status in (200, 400, 404), look.page.url
                await _expect_nothing_ran(look)
        await look.go(f"/session?{urlencode({'id': NAME})}")
        await expect(look.page.get_by_role("heading", name=NAME).first).to_be_visible()
        if "/session-live" in pages_of(app):
            await say(one, NAME, "the-last-that-was-said")
            await expect(look.page.get_by_text("the-last-that-was-said").last).to_be_visible()
        await _expect_nothing_ran(look)


async def _expect_nothing_ran(look: Look) -> None:
    assert await look.page.evaluate("() => window.ran ?? null") is None, look.page.url
    assert await look.page.evaluate(STRANGE) == [], look.page.url
    said = [each for each in look.complaints if not each.startswith("Failed to load resource: the server")]
    assert said == [], look.page.url
    assert look.elsewhere == [], look.page.url


@pytest.mark.parametrize("form", ["markdown", "json", "plain", "stored"])
async def test_a_file_is_a_file(one: SessionStore, form: str) -> None:
    await fill(one)
    async with asking(app_of(one)) as client:
        answer = await client.get("/export", params={"id": NAME, "format": form})
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] not in ("text/html", "image/svg+xml")
    assert answer.headers["x-content-type-options"] == "nosniff"
    # One name, of which nothing ends it early or leads out of a folder.
    told = re.fullmatch(
        r"""attachment; filename="([\w.-]+)"; filename\*=UTF-8''([\w.%~-]+)""",
        answer.headers["content-disposition"],
    )
    assert told is not None, answer.headers["content-disposition"]
    assert not told[1].startswith(".")


async def test_what_deceives_is_seen(one: SessionStore) -> None:
    await fill(one)
    async with asking(app_of(one)) as client:
        answer = await client.get("/session", params={"id": NAME})
    assert answer.status_code == 200
    for hidden in "\x00\x1b\u202e\u202c\ufeff":
        assert hidden not in answer.text
    assert "‹U+202E›gnp.exe" in answer.text
