"""A scope is a record as others are: damaged, moved, encrypted anew, counted, and gone with its tenant."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import DecodeError, Key, Keyring, SessionStore, open_store
from miniagent_store.errors import KeyNotFoundError
from miniagent_store.moving.archive import ArchiveReader
from miniagent_store.moving.exporting import Export
from miniagent_store.moving.frames import read_lines
from miniagent_store.moving.importing import Import, archived
from miniagent_store.moving.walking import Filters
from tests.memory.plain_reference import Letters, ids_of

LETTERS = Letters()
MODES: tuple[Any, ...] = ("vector", "words", "hybrid")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SessionStore]:
    async with open_store(f"sqlite:///{path}?deadline=20s") as store:
        yield store


def quietly(done: int) -> None:
    return None


def damage(path: Path, *names: str) -> None:
    """Cut off what some state values hold."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for name in names:
            changed = connection.execute("UPDATE state SET payload = ? WHERE name = ?", (b"\xc1", name))
            assert changed.rowcount == 1


@pytest.mark.parametrize("name", ["m/2", "v/2"])
async def test_of_what_is_damaged_the_rest_is_found(
    store: SessionStore, path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2, 3):
        await store.memory("ada", embedder=LETTERS).add("abc", id=str(number))
    damage(path, name)

    async with open_store(f"sqlite:///{path}?deadline=20s") as other:
        memory = other.memory("ada", embedder=LETTERS)
        for mode in MODES:
            assert {"1", "3"} <= set(ids_of(await memory.search("abc", mode=mode)))
        assert f"{name!r} of 'memory/ada' is damaged" in caplog.text
        assert {"1", "3"} <= set(ids_of(await memory.list()))
        if name == "m/2":
            with pytest.raises(DecodeError):
                await memory.get("2")
        # It can be replaced, and deleted.
        await memory.add("abc", id="2")
        for mode in MODES:
            assert set(ids_of(await memory.search("abc", mode=mode))) == {"1", "2", "3"}
        damage(path, name)
    assert await store.memory("ada", embedder=LETTERS).delete("2") == 1
    assert ids_of(await store.memory("ada", embedder=LETTERS).list()) == ["1", "3"]
    damage(path, "m/1", "m/3")
    async with open_store(f"sqlite:///{path}?deadline=20s") as other:
        # Where nothing can be read it is not as if there were nothing.
        with pytest.raises(DecodeError):
            await other.memory("ada", embedder=LETTERS).search("abc", mode="words")
        assert await other.memory("ada", embedder=LETTERS).forget()
        assert await other.memory("ada", embedder=LETTERS).search("abc") == []


async def test_a_wrong_key_is_no_damage(path: Path) -> None:
    url = f"sqlite:///{path}?deadline=20s&serializer=encrypted"
    async with open_store(url, keyring=Keyring([Key.generate("one")])) as store:
        await store.memory("ada").add("abc")
    async with open_store(url, keyring=Keyring([Key.generate("two")])) as store:
        for mode in MODES:
            with pytest.raises(KeyNotFoundError):
                await store.memory("ada").search("abc", mode=mode)


async def test_archives_bring_memories_along(store: SessionStore, tmp_path: Path, path: Path) -> None:
    memory = store.memory("ada", embedder=LETTERS)
    await memory.add_many([{"said": "abc", "id": "1", "metadata": {"n": 1}}, {"said": "bcd", "id": "2"}])
    await memory.add("abc", id="3", ttl="1h")
    await memory.delete("2")
    await Export(store, Filters(), plain=False).to_file(tmp_path / "all.jsonl", quietly)

    async with open_store(f"sqlite:///{tmp_path}/other.db") as other:
        theirs = other.memory("ada", embedder=LETTERS)
        await theirs.add("h", id="in the way")
        assert ids_of(await theirs.search("h", mode="vector")) == ["in the way"]
        with open(tmp_path / "all.jsonl", "rb") as file:
            reader = ArchiveReader(read_lines(file))
            job = Import(other, reader.header.namespace, on_conflict="replace")
            await job.run(archived(reader), Filters(), quietly)
        for mode in MODES:
            assert ids_of(await theirs.search("abc", mode=mode)) == ["1", "3"]
        assert list(await theirs.list()) == list(await memory.list())
        await theirs.add("abc", id="4")
        assert ids_of(await theirs.search("abc", mode="vector")) == ["1", "3", "4"]


async def test_it_is_encrypted_anew_counted_and_gone_with_its_tenant(path: Path) -> None:
    old, new = Key.generate("old"), Key.generate("new")
    url = f"sqlite:///{path}?deadline=20s"
    async with open_store(url) as plain:
        await plain.tenant("acme").memory("ada").add("canaryword", id="1")
    url += "&serializer=encrypted"
    for ring in (Keyring([old]), Keyring([new, old])):
        async with open_store(f"{url}&accept=msgpack%2Bcrc32", keyring=ring) as store:
            view = store.tenant("acme")
            assert ids_of(await view.memory("ada").search("canaryword")) == ["1"]
            await view.reencrypt()
    async with open_store(url, keyring=Keyring([new])) as store:
        view = store.tenant("acme")
        for mode in MODES:
            assert ids_of(await view.memory("ada").search("canaryword", mode=mode)) == ["1"]
        assert (await view.stats()).sessions == {"memory": 1}
        assert (await view.repair()).damages == []
        await store.delete_tenant("acme")
        assert await view.memory("ada").search("canaryword") == []
        assert (await view.stats()).sessions.get("memory", 0) == 0
    await asyncio.sleep(0)
