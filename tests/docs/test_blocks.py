"""Every block of code of every page is run."""

from __future__ import annotations

import pytest

from tests.docs.pages import ROOT, blocks, pages
from tests.docs.reader import Servers
from tests.docs.running import PageRun

PAGES = {str(page.relative_to(ROOT)): page for page in pages() if list(blocks(page))}
# tests/integrations runs these, where the frameworks are.
OF_FRAMEWORKS = [name for name in PAGES if name.startswith("docs/frameworks/")]
# What takes longer than a second or two.
SLOW = {f"docs/{name}.md" for name in ("doctor", "encryption", "moving", "repair", "topologies")}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in PAGES
        if name not in OF_FRAMEWORKS
    ],
)
def test_the_blocks_of_a_page_run(name: str, reader: Servers) -> None:
    lacking: list[str] = []

    PageRun(PAGES[name], moved=reader.moved, missing=lacking.append).run()

    if lacking:
        pytest.skip(f"not installed: {', '.join(sorted(set(lacking)))}; what needs it was left out")


def test_what_is_not_run_says_why_and_is_rare() -> None:
    found = [block for page in PAGES.values() for block in blocks(page)]
    left_out = [block for block in found if block.not_run is not None]

    assert [block.place for block in left_out if not block.not_run] == []
    assert len(left_out) <= len(found) / 20, [f"{each.place}: {each.not_run}" for each in left_out]
