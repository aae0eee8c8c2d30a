"""Every block of code of the frameworks' pages is run, where the frameworks are installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from miniagent_store.testing.servers import Server
from tests.docs.pages import ROOT, blocks
from tests.docs.running import PageRun
from tests.integrations.conftest import DEMANDED

FOLDER = ROOT / "docs" / "frameworks"
PAGES = sorted(page for page in FOLDER.glob("*.md") if list(blocks(page)))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def redis(server: Server) -> Callable[[], str]:
    server.command("FLUSHALL")
    return lambda: f"127.0.0.1:{server.port}"


@pytest.mark.filterwarnings("default")  # what frameworks warn of is theirs
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run(
    page: Path, redis: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["page"])
    monkeypatch.setattr(os, "environ", os.environ.copy())

    PageRun(page, redis=redis, missing=lacking.append).run()

    if lacking and not ("all" in DEMANDED and page.stem != "pydantic_ai_steps"):
        pytest.skip(f"not installed: {', '.join(sorted(set(lacking)))}")
    assert lacking == []
