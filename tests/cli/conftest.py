"""Stores for the tests of the command line."""

from __future__ import annotations

import os
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


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution for processes started by the test: a model that never ends, one that fails, and a
    plugin that is broken."""
    folder = tmp_path / "site"
    info = folder / "acme-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[miniagent_store]\nacme-models = acme_models\nacme-broken = acme_is_not_there\n"
    )
    (folder / "acme_models.py").write_text(ACME_MODELS)
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{os.environ.get('PYTHONPATH', '')}")


ACME_MODELS = """
import asyncio
from miniagent_store import Provider, hookimpl

async def endless(messages, config):
    yield "Well, "
    await asyncio.sleep(60)

async def failing(messages, config):
    raise RuntimeError("no " + chr(27) + "[2Jcredit left")

@hookimpl
def provide_models():
    return [
        Provider("endless", lambda: lambda rest: endless),
        Provider("failing", lambda: lambda rest: failing),
    ]
"""
