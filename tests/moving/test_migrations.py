"""Migrations: nothing is lost that was acknowledged, and nothing of anyone else's is touched."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from moving_support import Writers, command_beside, contents_of, fill, one_of_everything

from miniagent_store import (
    AccessDeniedError,
    ConfigurationError,
    Key,
    Keyring,
    Message,
    SessionStore,
    open_store,
)
from miniagent_store.moving.exporting import Export
from miniagent_store.moving.journal import Journal
from miniagent_store.moving.migrating import Migration, StillWrittenError
from miniagent_store.moving.walking import Filters
from miniagent_store.testing.servers import Server

QUIET = 0.1


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[SessionStore]:
    async with open_store(f"sqlite:///{tmp_path}/source.db") as store:
        yield store


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[SessionStore]:
    async with open_store(f"sqlite:///{tmp_path}/target.db") as store:
        yield store


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db", "from", "to")


@pytest.fixture
def migration(source: SessionStore, target: SessionStore, journal: Journal) -> Migration:
    return Migration(source, target, journal)


async def test_all_there_is_arrives(
    source: SessionStore, target: SessionStore, migration: Migration
) -> None:
    await one_of_everything(source)
    expires = (await source.get("full")).expires_at

    await migration.copy()
    await migration.finish(quiet=QUIET)

    assert migration.progress.problems == {}
    assert migration.progress.verified == 5
    assert await contents_of(target) == await contents_of(source)
    assert (await target.get("full")).expires_at == expires
    assert await target.entries("full") == await source.entries("full")


async def test_what_changes_meanwhile_is_caught_up_with(
    source: SessionStore, target: SessionStore, migration: Migration
) -> None:
    await fill(source, 6, 2)
    await migration.copy()
    await source.append("s0", Message.user("more"))
    await source.delete("s1")
    await source.delete("s2")
    await source.append("s2", Message.user("another life"), create=True)
    await source.state("s3").set("plan", None)
    await source.touch("s4", ttl="1h")
    await source.append("new", Message.user("new"), create=True)

    assert await migration.catch_up() >= 5
    await migration.finish(quiet=QUIET)

    assert await contents_of(target) == await contents_of(source)
    assert (await target.get("s4")).expires_at == (await source.get("s4")).expires_at
    assert migration.progress.problems == {}


async def test_without_the_feed_of_changes_the_last_look_finds_all(
    source: SessionStore, target: SessionStore, migration: Migration
) -> None:
    await fill(source, 5, 2)
    await migration.copy()
    await source.append("s0", Message.user("more"))
    await source.delete("s1")

    await migration.finish(quiet=QUIET)

    assert migration.progress.copied == 6
    assert migration.progress.deleted == 1
    assert await contents_of(target) == await contents_of(source)


async def test_what_is_not_ours_is_never_changed(
    source: SessionStore, target: SessionStore, migration: Migration, journal: Journal
) -> None:
    await fill(source, 4, 2)
    await target.append("s0", Message.user("of the target's own"), create=True)
    await target.append("other", Message.user("of the target's own"), create=True)
    await migration.copy()
    await migration.finish(quiet=QUIET)
    assert list(migration.progress.problems) == ["s0"]
    assert "did not write it" in migration.progress.problems["s0"]
    # Somebody starts to write to both.
    await target.append("s1", Message.user("to the target"))
    await source.append("s1", Message.user("to the source"))
    await target.append("s2", Message.user("to the target"))
    await source.delete("s2")

    again = Migration(source, target, journal)
    await again.copy()
    await again.catch_up()
    await again.finish(quiet=QUIET)

    assert sorted(again.progress.problems) == ["s0", "s1", "s2"]
    assert "both places" in again.progress.problems["s1"]
    for session_id in ("s0", "s1", "s2", "other"):
        assert "target" in (await target.history(session_id))[-1].content
    assert again.progress.verified == 1


async def test_equal_sessions_in_the_target_are_taken_as_copies(
    source: SessionStore, target: SessionStore, tmp_path: Path
) -> None:
    await fill(source, 3, 2)
    with Journal(tmp_path / "lost.db", "from", "to") as journal:
        await Migration(source, target, journal).copy()
    await source.append("s0", Message.user("more"))

    with Journal(tmp_path / "new.db", "from", "to") as journal:
        again = Migration(source, target, journal)
        await again.copy()
        assert again.progress.copied == 0
        assert list(again.progress.problems) == ["s0"]
        assert len(journal) == 2


async def test_values_are_written_as_the_target_writes_them(source: SessionStore, tmp_path: Path) -> None:
    await one_of_everything(source)
    ring = Keyring([Key.generate("one")])
    url = f"sqlite:///{tmp_path}/encrypted.db?serializer=encrypted&shred=true"
    async with open_store(url, keyring=ring) as target:
        with Journal(tmp_path / "there.db", "from", "to") as journal:
            there = Migration(source, target, journal)
            await there.copy()
            await source.append("full", Message.user("more"))
            await there.finish(quiet=QUIET)
        assert there.progress.problems == {}
        assert await contents_of(target) == await contents_of(source)
        assert (await target.reencrypt(dry_run=True)).in_use.keys() == {
            each for each in (await target.reencrypt(dry_run=True)).in_use if each.key_id
        }
        async with open_store("memory://?serializer=json") as last:
            with Journal(tmp_path / "back.db", "from", "to") as journal:
                back = Migration(target, last, journal)
                await back.copy()
                await back.finish(quiet=QUIET)
            assert await contents_of(last) == await contents_of(source)


async def test_a_source_that_is_still_written_to_is_told(
    source: SessionStore, migration: Migration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("miniagent_store.moving.migrating._PATIENCE_SECONDS", 0.3)
    await fill(source, 2, 2)

    async def write() -> None:
        while True:
            await source.append("s0", Message.user("more"))
            await asyncio.sleep(0.01)

    writer = asyncio.create_task(write())
    with pytest.raises(StillWrittenError, match="'s0'"):
        await migration.finish(quiet=QUIET)
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    await migration.finish(quiet=QUIET)
    assert migration.progress.problems == {}


async def test_a_store_is_not_migrated_to_itself(
    source: SessionStore, tmp_path: Path, journal: Journal
) -> None:
    await fill(source, 2, 2)
    before = await source.get("s0")
    async with open_store(f"sqlite:///{tmp_path}/../{tmp_path.name}/source.db?measure=true") as the_same:
        with pytest.raises(ConfigurationError, match="the same store"):
            await Migration(source, the_same, journal).copy()
    assert await source.get("s0") == before


async def test_writers_are_stopped_by_taking_their_right_to_write(
    target: SessionStore, tmp_path: Path, journal: Journal
) -> None:
    with Server() as server:
        server.command("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all")
        url = server.url.replace("redis://", "redis://app:secret@")
        async with open_store(f"{url}/0") as app:
            await fill(app, 3, 2)
            server.command("ACL", "SETUSER", "app", "-@write")
            with pytest.raises(AccessDeniedError):
                await app.append("s0", Message.user("too late"))
            async with open_store(f"{server.url}/0") as source:
                migration = Migration(source, target, journal)
                await migration.finish(quiet=QUIET)
            assert migration.progress.verified == 3
            assert migration.progress.problems == {}
            assert await contents_of(target) == await contents_of(app)


async def test_what_is_damaged_is_told_and_the_others_go_over(
    target: SessionStore, tmp_path: Path, journal: Journal
) -> None:
    with Server() as server:
        async with open_store(f"{server.url}/0") as source:
            await fill(source, 4, 2)
            (lost,) = [key for key in server.command("KEYS", "*thread:*") if b"s1" in key]
            server.command("DEL", lost)
            migration = Migration(source, target, journal)
            await migration.copy()
            await migration.finish(quiet=QUIET)
            exported = Export(source, Filters(), plain=False)
            await exported.to_file(tmp_path / "all", lambda done: None)

    assert list(migration.progress.problems) == ["s1"]
    assert migration.progress.verified == exported.totals.sessions == 3
    assert ["'s1'" in each for each in exported.problems] == [True]


def test_a_journal_is_of_one_migration_and_of_one_process(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path, "one", "two"), pytest.raises(ConfigurationError, match="does another one run"):
        Journal(path, "one", "two")
    with pytest.raises(ConfigurationError, match="from one to two"):
        Journal(path, "one", "three")
    (tmp_path / "text").write_text("my diary, which is long enough to be taken for something else" * 20)
    with pytest.raises(ConfigurationError, match="another file"):
        Journal(tmp_path / "text", "one", "two")


def sessions_in(database: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reading:
            return int(reading.execute("SELECT count(*) FROM sessions").fetchone()[0])
    except sqlite3.Error:
        return 0  # it is being made


async def test_a_migration_that_was_killed_goes_on_under_load(tmp_path: Path) -> None:
    source, target = f"sqlite:///{tmp_path}/one.db", f"sqlite:///{tmp_path}/two.db"
    async with open_store(source) as store:
        await fill(store, 150)
    path = tmp_path / "journal.db"

    async with Writers(source) as writers:
        killed = await command_beside(
            "migrate", source, target, "--journal", str(path), data_home=tmp_path,
            kill_when=lambda: sessions_in(tmp_path / "two.db") > 20,
        )  # fmt: skip
        assert killed.code == -9
        async with open_store(source) as here, open_store(target) as there:
            with Journal(path, here.url, there.url) as journal:
                migration = Migration(here, there, journal)
                before = await there.count_sessions()
                await migration.copy()
                await migration.catch_up()
                await writers.stop()
                await migration.finish(quiet=QUIET)
            assert 0 < before < 150
            assert migration.progress.problems == {}
            assert await contents_of(there) == await contents_of(here)
    await writers.check(target)
