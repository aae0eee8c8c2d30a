"""A real browser for tests: Debian's Chromium, and what it said while it looked."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, Playwright, async_playwright

from tests.web.served import Viewer

# Machines are shared; milliseconds.
PATIENCE = 45_000


@dataclass
class Look:
    """A page of the viewer in a browser, let in.

    Attributes:
        page: to drive.
        viewer: where it looks.
        complaints: errors of its console and its scripts, refusals of the Content-Security-Policy.
        elsewhere: addresses of other hosts that it asked for.
    """

    page: Page
    viewer: Viewer
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    async def go(self, path: str) -> None:
        """To a page of the viewer, from its root: "/session?id=a"."""
        await self.page.goto(self.viewer.origin + path)


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Chromium, without a window."""
    async with async_playwright() as playwright:
        browser = await _chromium(playwright)
        try:
            yield browser
        finally:
            await browser.close()


async def _chromium(playwright: Playwright) -> Browser:
    # Root has no sandbox, and containers little shared memory.
    return await playwright.chromium.launch(
        executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
        args=["--no-sandbox", "--disable-dev-shm-usage"],
    )


@asynccontextmanager
async def looking(
    browser: Browser, viewer: Viewer, *, width: int = 1440, height: int = 900, scheme: str = "light"
) -> AsyncIterator[Look]:
    """A visitor of their own, who has opened the link.

    Args:
        browser: which.
        viewer: what is looked at.
        width, height: of the window, CSS pixels.
        scheme: "light" or "dark".
    """
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    look = Look(page, viewer)
    page.on("console", lambda said: look.complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: look.complaints.append(str(error)))
    ours = urlsplit(viewer.origin).netloc
    page.on(
        "request",
        lambda asked: (
            look.elsewhere.append(asked.url) if urlsplit(asked.url).netloc not in (ours, "") else None
        ),
    )
    try:
        await page.goto(viewer.link)
        yield look
    finally:
        await context.close()
