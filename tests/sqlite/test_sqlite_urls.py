"""Which file a URL means."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlite_support import opened

from miniagent_backends.sqlite.location import Location
from miniagent_store.backend import BackendOptions
from miniagent_store.errors import ConfigurationError
from miniagent_store.url import StoreURL


def location(url: str, **extra: object) -> Location:
    return Location.of(StoreURL.parse(url), BackendOptions(extra=extra))


def test_three_slashes_are_relative_and_four_are_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert location("sqlite:///a/b.db").path == f"{tmp_path}/a/b.db"
    assert location("sqlite:////srv/b.db").path == "/srv/b.db"
    assert location("sqlite:///with%20space%3F.db").path == f"{tmp_path}/with space?.db"


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")

    assert location("sqlite:///~/b.db").path == "/home/ada/b.db"


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("sqlite://", "write sqlite:///relative.db"),
        ("sqlite:///", "write sqlite:///relative.db"),
        ("sqlite://b.db", "write sqlite:///b.db"),
        ("sqlite://a/b.db", "write sqlite:///a/b.db"),
        ("sqlite:///:memory:", "write memory://"),
        ("sqlite:///a/", "name a file"),
        ("sqlite:///a%00b", "zero byte"),
    ],
)
def test_a_url_without_a_file_is_answered_with_one(url: str, advice: str) -> None:
    with pytest.raises(ConfigurationError, match=advice):
        location(url)


@pytest.mark.parametrize("mode", ["full", "NORMAL", "Off", "EXTRA"])
async def test_synchronous_is_one_of_sqlites(tmp_path: Path, mode: str) -> None:
    async with opened(tmp_path / "a.db", synchronous=mode) as backend:
        details = await backend.ping()

    assert details["synchronous"] == mode.upper()


def test_another_synchronous_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="FULL, NORMAL, OFF, EXTRA"):
        location("sqlite:///a.db", synchronous="sometimes")


async def test_missing_folders_are_made(tmp_path: Path) -> None:
    async with opened(tmp_path / "a" / "b" / "c.db"):
        assert (tmp_path / "a" / "b" / "c.db").exists()


def test_naming_the_backend_imports_no_sqlite3() -> None:
    code = (
        "import sys, miniagent_backends.sqlite.plugin as plugin\n"
        "[provider] = plugin.provide_backends()\n"
        "assert provider.name == 'sqlite' and provider.options == {'synchronous'}\n"
        "assert 'sqlite3' not in sys.modules\n"
        "provider.load()\n"
        "assert 'sqlite3' in sys.modules\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
