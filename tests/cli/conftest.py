"""Stores for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_support import in_store, seed


@pytest.fixture(autouse=True)
def _no_store_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing that a test does may reach the sessions of who runs it."""
    for name in ("MINIAGENT_STORE_URL", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def empty(tmp_path: Path) -> str:
    """The URL of a store with nothing in it."""
    return f"sqlite:///{tmp_path / 'sessions.db'}"


@pytest.fixture
def store(empty: str) -> str:
    """The URL of a store with three sessions."""
    in_store(empty, seed)
    return empty
