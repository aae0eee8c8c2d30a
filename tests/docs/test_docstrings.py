"""The examples in docstrings, which the reference shows, are run."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import miniagent_store

PACKAGE = Path(miniagent_store.__file__).parent
# The first need their frameworks; the others are imported by pytest's own way.
LEFT_OUT = ("integrations", "testing")


def modules() -> list[str]:
    """All modules in which an example stands."""
    files = [path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")]
    names = [path.relative_to(PACKAGE).with_suffix("").parts for path in files]
    return sorted(".".join(("miniagent_store", *name)) for name in names if name[0] not in LEFT_OUT)


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIAGENT_STORE_URL", "memory://")

    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)

    assert result.attempted > 0
    assert result.failed == 0
