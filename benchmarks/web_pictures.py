"""Pictures of every page of the viewer, at three widths, in both schemes.

    python -m benchmarks.web_pictures /tmp/pictures [--only session]

It needs Chromium and the extra ``[dev]``; the store is a made-up one, on SQLite, in a folder of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import Browser

from miniagent_store import open_store
from tests.web.browser import launched, looking
from tests.web.served import Viewer, served
from tests.web.world import PAGES, furnish

WIDTHS = (1440, 800, 400)
SCHEMES = ("light", "dark")


async def pictures(folder: Path, only: str | None) -> None:
    """One PNG each: ``session-400-dark.png``.

    Args:
        folder: where to.
        only: pages whose name begins so; None for all.
    """
    with tempfile.TemporaryDirectory() as kept:
        async with open_store(f"sqlite:///{kept}/sessions.db") as store, launched() as browser:
            await furnish(store)
            async with served(store, allow_write=True) as viewer:
                for width in WIDTHS:
                    for scheme in SCHEMES:
                        await _take(browser, viewer, folder, width, scheme, only)


async def _take(
    browser: Browser, viewer: Viewer, folder: Path, width: int, scheme: str, only: str | None
) -> None:
    async with looking(browser, viewer, width=width, scheme=scheme) as look:
        for name, path in PAGES.items():
            if only is None or name.startswith(only):
                await look.go(path)
                await look.page.wait_for_load_state("load")
                await look.page.screenshot(path=folder / f"{name}-{width}-{scheme}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", help="pages whose name begins so")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(pictures(arguments.folder, arguments.only))
