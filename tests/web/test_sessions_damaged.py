"""The list of sessions where one of them is damaged: the others are listed, and it is named."""

from __future__ import annotations

import sqlite3
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, expect
from redis import Redis, RedisCluster

from miniagent_store import SessionDamagedError, SessionStore
from miniagent_store.web import finding
from tests.web.browser import looking
from tests.web.kinds import mostly_sqlite
from tests.web.served import served


def damage(url: str, session_id: str) -> None:
    """Put other bytes in the place of a session's record."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        with sqlite3.connect(parts.path[1:]) as database:
            database.execute("UPDATE sessions SET logs = x'c1' WHERE id = ?", (session_id,))
        return
    host, _, port = parts.netloc.partition(",")[0].rpartition(":")
    kind = RedisCluster if "cluster" in parts.scheme else Redis
    client = kind(host=host, port=int(port))
    namespace = parts.query.rpartition("namespace=")[2]
    damaged = 0
    for key in client.scan_iter(match=f"*{namespace}*session:*{session_id}*", _type="hash"):
        damaged += client.hexists(key, "m")
        client.hset(key, "m", b"\xc1")
    client.close()
    assert damaged == 1


@mostly_sqlite
async def test_a_damaged_session_is_named_and_the_others_are_listed(
    store: SessionStore, store_url: str, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "PAGE", 2)
    for session_id in ("first", "second", "broken", "third", "fourth"):
        await store.create(session_id, user_id="ada")
    damage(store_url, "broken")
    with pytest.raises(SessionDamagedError):
        await store.list()

    async with served(store) as viewer, looking(browser, viewer) as look:
        note = look.page.locator("#damaged")
        shown = []
        for path in ("/", "/?q=ada&order=oldest"):
            await look.go(path)
            while True:
                shown += await look.page.locator("tbody .id").all_inner_texts()
                if await note.count():
                    await expect(note.get_by_role("link", name="broken")).to_be_visible()
                    shown.append("broken")
                following = look.page.locator("a[rel=next]")
                if not await following.count():
                    break
                await following.click()
                await look.page.wait_for_load_state()
        names = ["first", "second", "third", "fourth", "broken"]
        assert set(shown[:5]) == set(names)
        assert set(shown) == set(names)
        assert shown.count("second") == 2
        await expect(look.page.get_by_text("Live", exact=True)).to_be_visible()
        await store.create("fifth", user_id="ada")
        await expect(look.page.get_by_role("link", name="1 new: show it")).to_be_visible()
        assert look.complaints == []
