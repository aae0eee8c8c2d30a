"""The examples of docs/guides/ stand there as they are, and run on servers too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from miniagent_store.testing.servers import Server
from tests.docs.pages import ROOT, pages
from tests.docs.running import environment

_FILE = re.compile(r"(<!-- file: (?P<path>\S+) -->\n```python\n)(?P<code>.*?)(```\n)", re.DOTALL)
GUIDES = sorted((ROOT / "examples" / "guides").glob("*.py"))


@pytest.mark.parametrize("page", [page for page in pages() if _FILE.search(page.read_text())], ids=str)
def test_a_file_in_a_page_is_that_file(page: Path) -> None:
    """With WRITE_DOCS=1 it is written."""
    text = page.read_text()
    written = _FILE.sub(lambda found: f"{found[1]}{(ROOT / found['path']).read_text()}{found[4]}", text)
    if os.environ.get("WRITE_DOCS"):
        page.write_text(written)

    assert page.read_text() == written


def test_each_example_has_a_page() -> None:
    shown = {found["path"] for page in pages() for found in _FILE.finditer(page.read_text())}

    assert {str(path.relative_to(ROOT)) for path in GUIDES} <= shown


@pytest.mark.slow
@pytest.mark.parametrize("example", GUIDES, ids=lambda path: path.stem)
def test_an_example_says_the_same_on_every_store(example: Path, tmp_path: Path) -> None:
    def printed(url: str) -> str:
        command = [sys.executable, "-W", "error", str(example), url]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60, env=environment()
        ).stdout

    with Server() as server:
        said = {printed(url) for url in ("memory://", f"sqlite:///{tmp_path}/a.db", f"{server.url}/0")}

    assert len(said) == 1
