"""What docs/blocking.md shows, run."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

BLOCKS: list[str] = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[2] / "docs" / "blocking.md").read_text(), re.DOTALL
)


def shown(words: str) -> str:
    """The block in which these words stand."""
    return next(block for block in BLOCKS if words in block)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIAGENT_STORE_URL", f"sqlite:///{tmp_path}/sessions.db")


def test_the_first_lines(capsys: pytest.CaptureFixture[str]) -> None:
    for times in (1, 2):
        exec(shown('store.turn("tea")'), {})
        assert capsys.readouterr().out == "Hello\n" * times


async def test_a_notebook() -> None:
    names: dict[str, Any] = {}
    exec(shown("in a cell"), names)
    names["store"].create("s")
    assert [session.id for session in names["store"].list(limit=5)] == ["s"]
    names["store"].close()


def test_a_handle() -> None:
    names: dict[str, Any] = {}
    exec(shown("class Notes"), names)
    notes = names["Notes"]()
    notes.add_sync("one")
    asyncio.run(notes.add("two"))
    found = notes._store.run_blocking(lambda store: store.history("notes"))
    assert [dict(note) for note in found] == [{"text": "one"}, {"text": "two"}]
    notes._store.close()
