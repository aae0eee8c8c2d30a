"""Who only looks changes nothing, not even when a session expires."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx
import pytest

from miniagent_store import SessionStore
from miniagent_store.web import viewer
from tests.web.crawling import Crawl, pages_of
from tests.web.hostile import NAME, fill
from tests.web.served import TOKEN, listening


async def _all(store: SessionStore) -> dict[str, object]:
    """Everything of every session, of whatever kind."""
    found: dict[str, object] = {}
    for kind in ("session", "viewer", "viewer-undo"):
        for session in (await store.list(kind=kind, limit=1000)).items:
            snapshot = await store.snapshot(session.id, logs=("messages", "events", "audit"), state=True)
            found[session.id] = snapshot.to_dict()
    return found


@pytest.mark.parametrize("allow_write", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_looking_changes_nothing(one: SessionStore, allow_write: bool) -> None:
    await fill(one)
    before = await _all(one)
    app = viewer(one, token=TOKEN, allow_write=allow_write)
    async with listening(app) as at, httpx.AsyncClient(base_url=at.origin, timeout=60) as client:
        await client.get(at.link)
        crawl = Crawl(client)
        for path in pages_of(app):
            if path != "/enter":
                await crawl.follow(f"{path}?{urlencode({'id': NAME})}")
        assert len(crawl.answers) > len(pages_of(app))
    assert await _all(one) == before
