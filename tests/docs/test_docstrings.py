"""The examples in docstrings, which the reference shows, are run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import miniagent_store

# Each needs its framework.
LEFT_OUT = ("miniagent_store.integrations.",)


def modules() -> list[str]:
    """All modules in which an example stands."""
    found = pkgutil.walk_packages(miniagent_store.__path__, "miniagent_store.")
    files = {
        each.name: importlib.util.find_spec(each.name)
        for each in found
        if not each.name.startswith(LEFT_OUT)
    }
    return [
        name
        for name, spec in files.items()
        if spec and spec.origin and ">>> " in Path(spec.origin).read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIAGENT_STORE_URL", "memory://")

    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)

    assert result.attempted > 0
    assert result.failed == 0
