"""Every block of code of the frameworks' pages is run, where the frameworks are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.docs.reader import Servers, reader, servers
from tests.docs.running import PageRun
from tests.integrations.conftest import DEMANDED

__all__ = ["reader", "servers"]

FOLDER = ROOT / "docs" / "frameworks"
PAGES = sorted(page for page in FOLDER.glob("*.md") if list(blocks(page)))


@pytest.mark.filterwarnings("default")  # what frameworks warn of is theirs
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run(page: Path, reader: Servers) -> None:
    lacking: list[str] = []

    PageRun(page, moved=reader.moved, missing=lacking.append).run()

    if lacking and not ("all" in DEMANDED and page.stem != "pydantic_ai_steps"):
        pytest.skip(f"not installed: {', '.join(sorted(set(lacking)))}")
    assert lacking == []
