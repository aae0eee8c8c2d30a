"""The command beside what it finds; the same look from code; what backends of others add."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from miniagent_backends.memory.backend import MemoryBackend, MemoryPlace
from miniagent_store import Provider, hookimpl, open_store
from miniagent_store.doctor import examine
from miniagent_store.values import Finding, Health
from tests.doctor.printed import run
from tests.doctor.setups import allkeys_lru, good, no_append_only_file, store_some


def look(url: str, **options: Any) -> Health:
    return asyncio.run(examine(url, **options))


def checks(health: Health) -> list[str]:
    return [each.check for each in health.findings]


def test_json_is_one_document() -> None:
    with allkeys_lru() as url:
        result = run(url, "--json")

    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (told["ok"], told["errors"], told["backend"]) == (False, 1, "redis")
    assert "***" in told["url"]
    (error,) = [each for each in told["findings"] if each["level"] == "error"]
    assert error.keys() == {"level", "what", "cure", "check"}
    assert result.stderr.startswith("error: eviction: ")
    assert len(result.stderr.splitlines()) == 1


def test_strict_fails_for_warnings() -> None:
    with no_append_only_file() as url:
        assert run(url).exit_code == 0
        strict = run(url, "--strict")

    assert strict.exit_code == 1
    assert strict.stderr.startswith("error: persistence: ")


def test_it_changes_nothing() -> None:
    with good() as url:

        async def seen() -> tuple[Any, ...]:
            async with open_store(url) as store:
                return (await store.get("ada-1")).version, await store.count_sessions()

        before = asyncio.run(seen())
        assert look(url, sample=None)
        assert asyncio.run(seen()) == before


@pytest.mark.parametrize(
    ("url", "check", "cure"),
    [
        ("no url", "URL", "write scheme://"),
        ("redis://localhost:6379/0?tll=1h", "URL", "ttl"),
        ("redis://nowhere.invalid:6379/0", "DNS", "mend the host"),
        ("redis://127.0.0.1:1/0", "connection", "start the server"),
        ("unix:///nowhere/redis.sock", "connection", "mend host, port or path"),
        ("memory://?serializer=encrypted&keys=env:NO_SUCH_VARIABLE", "key ring", ""),
        ("redis://127.0.0.1:6379/x", "URL", "mend the URL"),
        ("sqlite:////usr", "permissions", "name a file in it"),
        ("sqlite:////proc/nowhere/sessions.db", "opening", ""),
    ],
)
def test_what_stands_in_the_way_ends_the_look(url: str, check: str, cure: str) -> None:
    health = look(url)

    assert not health
    last = health.findings[-1]
    assert (last.level, last.check) == ("error", check)
    assert cure in str(last)


def test_a_file_whose_index_lacks_a_row(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sessions.db"
    store_some(url, "ada-1", "ada-2")
    connection = sqlite3.connect(tmp_path / "sessions.db")
    (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'sessions_activity'").fetchone()
    # An index that was made for no rows: once its condition is gone it is taken for one of all rows.
    connection.execute("DROP INDEX sessions_activity")
    connection.execute(f"{sql} WHERE id = 'none'")
    connection.execute("PRAGMA writable_schema = ON")
    change = "UPDATE sqlite_master SET sql = ? WHERE name = 'sessions_activity'"
    connection.execute(change, (sql,))
    connection.commit()
    connection.close()

    health = look(url)

    (error,) = [each for each in health.findings if each.level == "error"][:1]
    assert error.check == "index"
    assert "sessions_activity" in error.what
    assert "REINDEX" in error.cure


def test_counts_that_are_wrong(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sessions.db"
    store_some(url, "ada-1", "ada-2")
    with sqlite3.connect(tmp_path / "sessions.db") as connection:
        connection.execute("UPDATE counts SET sessions = 7")
    connection.close()

    assert any("counts 7 of kind 'session', and holds 2" in problem for problem in look(url).problems)


async def test_an_open_store_looks_deeper(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/sessions.db") as store:
        shallow, deep = await store.health(), await store.health(deep=True)

    assert deep.ok
    assert shallow.findings == ()
    assert {"space", "persistence", "index", "latency", "clock", "values"} <= set(checks(deep))


def plugin_of(backend: type[MemoryBackend]) -> Any:
    """A plugin that brings a backend as ``acme://``."""

    class Acme:
        @hookimpl
        def provide_backends(self) -> Sequence[Provider[Any]]:
            return [
                Provider("acme", lambda: lambda url, options: backend(MemoryPlace(), options.namespace))
            ]

    return Acme()


def test_a_backend_of_others_adds_its_own() -> None:
    class Acme(MemoryBackend):
        async def approach(self) -> Sequence[Finding]:
            return [Finding("info", "the tape is in", check="tape")]

        async def examine(self, sample: int | None) -> Sequence[Finding]:
            return [Finding("warning", f"{sample} spools are worn", "change them", "spools")]

    told: list[Finding] = []
    health = look("acme://", plugins=[plugin_of(Acme)], progress=told.append)

    assert health.ok
    assert checks(health)[:3] == ["URL", "tape", "spools"]
    assert tuple(told) == health.findings


def test_a_backend_that_finds_an_error_on_the_way_is_not_opened() -> None:
    class Acme(MemoryBackend):
        async def approach(self) -> Sequence[Finding]:
            return [Finding("error", "no tape", "put one in", "tape")]

        async def open(self) -> None:
            raise AssertionError("opened")

    health = look("acme://", plugins=[plugin_of(Acme)])

    assert checks(health) == ["URL", "tape"]
    assert health.problems == ("no tape; put one in",)
