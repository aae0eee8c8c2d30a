"""Files that are not ours, cannot be written, are full, or are damaged."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlite_support import commit, opened, output_of, payloads, start

from miniagent_backends.sqlite.schema import SCHEMA_VERSION
from miniagent_store import Message, open_store
from miniagent_store.errors import (
    BackendUnavailableError,
    CapacityError,
    ConfigurationError,
    SessionDamagedError,
)


async def refused(path: Path) -> str:
    before = path.read_bytes()
    with pytest.raises(ConfigurationError) as caught:
        async with opened(path):
            raise AssertionError("it was opened")

    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    return str(caught.value)


async def test_a_file_of_a_newer_version_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with opened(path):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()

    assert "pip install --upgrade miniagent-store" in await refused(path)


async def test_the_database_of_another_application_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()

    assert "of another application" in await refused(path)


@pytest.mark.parametrize("content", [b"xyz", b"no database\n" * 1000])
async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)

    assert "not a SQLite database" in await refused(path)


async def test_health_tells_the_file_and_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path / "a.db") as backend:
        await backend.commit(commit("s", b"1"))
        details = await backend.ping()

        assert details["path"] == f"{tmp_path}/a.db"
        assert details["schema_version"] == SCHEMA_VERSION
        assert details["size"] + details["wal_size"] > 4096
        monkeypatch.setattr("miniagent_backends.sqlite.backend.LEAST_FREE", 2**62)
        with pytest.raises(CapacityError, match="make room"):
            await backend.ping()


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a folder"):
        async with opened(tmp_path):
            pass


async def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")

    with pytest.raises(ConfigurationError, match=r"folder .* cannot be made"):
        async with opened(tmp_path / "a" / "b.db"):
            pass


async def test_an_empty_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.touch()

    async with opened(path) as backend:
        await backend.commit(commit("s", b"1"))


async def test_namespaces_in_one_file_are_apart(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db", namespace="x") as x, opened(tmp_path / "a.db") as y:
        await x.commit(commit("s", b"1"))
        await y.commit(commit("s", b"2"))

        assert await payloads(x, "s") == [b"1"]
        assert await payloads(y, "s") == [b"2"]
        assert (await x.stats()).messages == 1
        assert len((await x.changes("0", 10))[0]) == 1
        assert await x.delete("s")
        assert await payloads(y, "s") == [b"2"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user can reach; pytest's own cannot be."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="to become someone who may not write")
async def test_a_file_that_cannot_be_written_is_named(open_folder: Path) -> None:
    path = open_folder / "a.db"
    async with opened(path) as backend:
        await backend.commit(commit("s", b"1"))
    path.chmod(0o644)

    assert "the file is read-only" in output_of(start("read_only", path))
    path.chmod(0o666)
    assert f"its folder {open_folder} is read-only" in output_of(start("read_only", path))
    path.unlink()
    assert f"its folder {open_folder} is read-only" in output_of(start("read_only", path))


def test_a_full_disk_changes_nothing_and_is_survived(tmp_path: Path) -> None:
    output = output_of(start("fill", tmp_path / "a.db"))

    assert output.startswith(
        "['CommitResult', 'CommitResult', 'CapacityError', 'CommitResult', 'CommitResult']"
    )


async def test_a_corrupt_session_is_named_and_others_are_not_harmed(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with opened(path) as backend:
        await backend.commit(commit("good", b"1"))
        await backend.commit(commit("bad", *[os.urandom(3000) for _ in range(100)]))
    content = bytearray(path.read_bytes())
    content[-4096 * 60 :] = os.urandom(4096 * 60)
    path.write_bytes(content)

    async with opened(path) as backend:
        with pytest.raises(SessionDamagedError, match=r"'bad' is damaged: the database file .* is corrupt"):
            await payloads(backend, "bad")
        assert await payloads(backend, "good") == [b"1"]


async def test_a_log_with_a_hole_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with opened(path) as backend:
        await backend.commit(commit("s", b"1", b"2", b"3"))
        with sqlite3.connect(path) as connection:
            connection.execute("DELETE FROM entries WHERE seq = 2")
        connection.close()

        with pytest.raises(SessionDamagedError, match="2 of the 3 entries"):
            await payloads(backend, "s")


async def test_a_file_that_was_deleted_while_open_takes_no_more_commits(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with opened(path) as backend:
        await backend.commit(commit("s", b"1"))
        for each in tmp_path.iterdir():
            each.unlink()

        with pytest.raises(BackendUnavailableError, match="deleted while it was open"):
            await backend.commit(commit("s", b"2"))
        with pytest.raises(BackendUnavailableError, match="deleted while it was open"):
            await payloads(backend, "s")


SECOND_CACHE_AND_RATES = """
DROP TABLE cache;
CREATE TABLE cache (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    expires_ms INTEGER,
    value BLOB NOT NULL
);
CREATE UNIQUE INDEX cache_key ON cache (namespace, key);
CREATE INDEX cache_expiry ON cache (namespace, expires_ms) WHERE expires_ms IS NOT NULL;
INSERT INTO cache VALUES ('', 'default/key', NULL, x'00');
DROP TABLE rates;
CREATE TABLE rates (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    a REAL NOT NULL,
    b REAL NOT NULL,
    c REAL NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (namespace, key, algorithm)
) WITHOUT ROWID;
INSERT INTO rates VALUES ('', 'key', 'sliding', 1, 2, 3, 9999999999999);
"""

# What each version has more than the one before it.
ADDED = {
    2: ["ALTER TABLE sessions DROP COLUMN data_key"],
    3: [
        "ALTER TABLE sessions DROP COLUMN lock_fence",
        "ALTER TABLE leases DROP COLUMN line",
        "ALTER TABLE sessions DROP COLUMN claimed_ms",
        "DROP TABLE counts",
        *SECOND_CACHE_AND_RATES.split(";"),
    ],
}


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
async def test_a_file_of_an_older_schema_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    path = tmp_path / "sessions.db"
    url = f"sqlite:///{path}"
    async with open_store(url) as store:
        await store.create("s", user_id="ada", agent="helper")
        await store.append("s", Message.user("Hello"))
        await store.create("t", user_id="ada", ttl="1h")
        await store.create("k", kind="thread", user_id="bob")
        before = await store.stats()
    connection = sqlite3.connect(path)
    for added in range(SCHEMA_VERSION, version, -1):
        for statement in ADDED[added]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    connection.close()

    stores = [open_store(url) for _ in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    for number, store in enumerate(stores, 1):
        if number == 1:
            assert [message.content for message in await store.history("s")] == ["Hello"]
            assert replace(await store.stats(), commits=before.commits) == before
        async with store.lock("job") as lease, store.turn("s") as turn:
            await store.append("s", Message.user("beside"), fence=lease)
            turn.append(Message.user("in turn"))
        assert len(await store.history("s")) == 1 + 2 * number
        await store.cache.set("key", number, tags=["tag"])
        assert await store.cache.clear(tag="tag") == 1
        assert await store.rate_limit("key", 3, "1h", algorithm="sliding")
        await store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    connection.close()
