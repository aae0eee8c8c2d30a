"""compose.yaml: the very command of its viewer, run by hand, shows the Redis beside it.

There is no Docker here: that its image can be built is not tested.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from playwright.async_api import Browser, expect

from miniagent_store import open_store
from miniagent_store.testing.servers import free_port
from tests.web.browser import looking
from tests.web.served import TOKEN, Viewer

COMPOSE = Path(__file__).parents[2] / "compose.yaml"


async def test_its_viewer_shows_its_redis(redis_url: str, browser: Browser) -> None:
    service: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]["viewer"]
    port = str(free_port())
    assert service["ports"] == ["127.0.0.1:8081:8081"]
    here = {"redis://redis:6379/0": redis_url, "8081": port}
    words: list[str] = [here.get(word, word) for word in map(str, service["command"])]
    assert words[0] == "miniagent-store"
    assert set(here.values()) <= set(words)
    async with open_store(redis_url) as store:
        session = await store.create(user_id="ada")

    with subprocess.Popen(
        [sys.executable, "-m", "miniagent_store", *words[1:]],
        env={**os.environ, "MINIAGENT_VIEWER_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # the link, once it can be opened
            async with looking(browser, Viewer(f"http://localhost:{port}")) as look:
                await expect(look.page.get_by_role("link", name=session.id)).to_be_visible()
        finally:
            process.terminate()
