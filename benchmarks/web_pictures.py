"""Pictures of every page of the viewer, at three widths, in both schemes.

    python -m benchmarks.web_pictures build/pictures [--only session]
    python -m benchmarks.web_pictures docs/images --docs

With ``--docs`` it takes those that docs/viewer.md shows. It needs Chromium and the extra ``[dev]``; the
store is a made-up one, on SQLite, in a folder of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, chdir
from pathlib import Path

from playwright.async_api import Browser

from miniagent_store import Message, SessionStore, open_store
from tests.web.browser import launched, looking
from tests.web.served import Viewer, served
from tests.web.world import PAGES, furnish

WIDTHS = (1440, 800, 400)
SCHEMES = ("light", "dark")
# Of the docs: names of pages, and how high they are, CSS pixels.
DOCS = {"sessions": 640, "session": 980, "performance": 780}
# How long somebody writes, for plots to have something to show, seconds.
WORK = 30


async def pictures(folder: Path, only: str | None) -> None:
    """One PNG each: ``session-400-dark.png``.

    Args:
        folder: where to.
        only: pages whose name begins so; None for all.
    """
    async with _furnished() as (_, browser, viewer):
        for width in WIDTHS:
            for scheme in SCHEMES:
                await _take(browser, viewer, folder, width, scheme, only)


async def docs_pictures(folder: Path) -> None:
    """``viewer-sessions.png`` and the others of the docs, small."""
    async with _furnished() as (store, browser, viewer), looking(browser, viewer, width=1000) as look:
        for name, height in DOCS.items():
            await look.page.set_viewport_size({"width": 1000, "height": height})
            await look.go(PAGES[name])
            await look.page.wait_for_load_state("load")
            if name == "performance":
                await _work(store)
            await look.page.screenshot(path=folder / f"viewer-{name}.png")


async def _work(store: SessionStore) -> None:
    """Talk, now more and now less."""
    said = Message.user("Hello"), Message.assistant("Hi")
    for moment in range(WORK * 10):
        for talk in range(round(3 + 2 * math.sin(moment / 25))):
            await store.append(f"visitor-{talk}", *said, create=True)
        await asyncio.sleep(0.1)


@asynccontextmanager
async def _furnished() -> AsyncIterator[tuple[SessionStore, Browser, Viewer]]:
    """A store that looks lived in, a browser, and a viewer of it."""
    # In its folder: pictures show the URL.
    with tempfile.TemporaryDirectory() as kept, chdir(kept):
        async with open_store("sqlite:///sessions.db") as store, launched() as browser:
            await furnish(store)
            async with served(store, allow_write=True) as viewer:
                yield store, browser, viewer


async def _take(
    browser: Browser, viewer: Viewer, folder: Path, width: int, scheme: str, only: str | None
) -> None:
    async with looking(browser, viewer, width=width, scheme=scheme) as look:
        for name, path in PAGES.items():
            if only is None or name.startswith(only):
                await look.go(path)
                await look.page.wait_for_load_state("load")
                await look.page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", help="pages whose name begins so")
    parser.add_argument("--docs", action="store_true", help="those of docs/viewer.md")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(docs_pictures(folder) if arguments.docs else pictures(folder, arguments.only))
