"""A session that is broken shows what is left of it, and says what is wrong with the rest."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis.asyncio

from miniagent_store import (
    DecodeError,
    Key,
    KeyNotFoundError,
    Keyring,
    Message,
    SessionDamagedError,
    SessionNotFoundError,
    SessionStore,
    open_store,
)
from miniagent_store.store.inspection import InspectedEntry, InspectedValue
from miniagent_store.testing.servers import Server

OLD, NEW = Key(bytes(range(32)), "old"), Key(bytes(range(1, 33)), "new")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


async def fill(store: SessionStore) -> None:
    await store.create("s", metadata={"plan": "gold"})
    await store.append("s", *[Message.user(f"message {number}") for number in range(1, 11)])
    await store.state("s").set("a", 1)


def change(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


async def test_a_changed_entry_stands_between_the_others(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/s.db") as store:
        await fill(store)
    change(tmp_path / "s.db", "UPDATE entries SET payload = x'c1203001' WHERE seq = 4")

    async with open_store(f"sqlite:///{tmp_path}/s.db") as store:
        seen = await store.inspect("s", values=9)

    assert [each.seq for each in seen.entries if each.error is None] == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    damaged = seen.entries[3]
    assert isinstance(damaged.error, DecodeError)
    assert "entry 4" in str(damaged.error)
    assert (damaged.value, damaged.size) == (None, 4)
    assert [each.value for each in seen.values] == [1]


async def test_bytes_that_are_no_envelope_have_none(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/s.db") as store:
        await fill(store)
    change(tmp_path / "s.db", "UPDATE entries SET payload = 'hello' WHERE seq = 4")

    async with open_store(f"sqlite:///{tmp_path}/s.db") as store:
        seen = await store.inspect("s", after=3, limit=1)

    assert seen.entries[0].envelope is None
    assert isinstance(seen.entries[0].error, DecodeError)


async def test_missing_entries_are_gaps(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/s.db") as store:
        await fill(store)
    change(tmp_path / "s.db", "DELETE FROM entries WHERE seq IN (3, 4, 9)")

    async with open_store(f"sqlite:///{tmp_path}/s.db") as store:
        seen = await store.inspect("s", values=9)
        inner = await store.inspect("s", after=1, before=9, last=4)

    assert [each.seq for each in seen.entries] == [1, 2, 5, 6, 7, 8, 10]
    assert [(each.first, each.last) for each in seen.gaps] == [(3, 4), (9, 9)]
    assert all(isinstance(each.error, SessionDamagedError) for each in seen.gaps)
    assert [each.value for each in seen.values] == [1]
    assert ([each.seq for each in inner.entries], inner.gaps) == ([5, 6, 7, 8], ())


async def test_a_log_that_is_gone_is_one_gap(server: Server) -> None:
    url = f"{server.url}?namespace=evicted"
    async with open_store(url) as store:
        await fill(store)
        client = redis.asyncio.Redis.from_url(server.url)
        for key in await client.keys("evicted*thread:*"):
            await client.delete(key)
        await client.aclose()

        seen = await store.inspect("s", values=9)

    assert seen.session.message_count == 10
    assert seen.session.metadata == {"plan": "gold"}
    assert seen.entries == ()
    assert [(each.first, each.last) for each in seen.gaps] == [(1, 10)]
    assert [each.value for each in seen.values] == [1]


async def test_entries_that_cannot_be_told_apart_are_gaps(server: Server) -> None:
    async with open_store(f"{server.url}?namespace=garbled") as store:
        await fill(store)
        client = redis.asyncio.Redis.from_url(server.url)
        (key,) = await client.keys("garbled*thread:*")
        for index in (3, 4, 7):
            await client.lset(key, index, b"short")
        await client.aclose()

        seen = await store.inspect("s", values=9)

    assert [each.seq for each in seen.entries] == [1, 2, 3, 6, 7, 9, 10]
    assert [(each.first, each.last) for each in seen.gaps] == [(4, 5), (8, 8)]
    assert [each.value for each in seen.values] == [1]


@pytest.mark.parametrize("per_session", ["", "&shred=true"])
async def test_without_its_key_the_header_is_what_is_shown(tmp_path: Path, per_session: str) -> None:
    url = f"sqlite:///{tmp_path}/s.db?serializer=encrypted{per_session}"
    async with open_store(url, keyring=Keyring([OLD])) as store:
        await fill(store)

    async with open_store(url, keyring=Keyring([NEW])) as store:
        seen = await store.inspect("s", values=9)

    assert seen.session.metadata == {}
    assert seen.problems
    assert all(isinstance(each, KeyNotFoundError) for each in seen.problems)
    parts: list[InspectedEntry | InspectedValue] = [*seen.entries, *seen.values]
    for each in parts:
        assert each.value is None
        assert isinstance(each.error, KeyNotFoundError)
        assert OLD.id.hex() in str(each.error)
        assert each.envelope is not None
        assert each.envelope.codecs[-1] == "aesgcm"


async def test_what_was_shredded_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db?serializer=encrypted&shred=true"
    async with open_store(url, keyring=Keyring([OLD])) as store:
        await fill(store)
        await store.shred("s")

        seen = await store.inspect("s")

    assert len(seen.entries) == 10
    assert "destroyed" in str(seen.entries[0].error)


async def test_there_must_be_a_session(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/s.db") as store:
        with pytest.raises(SessionNotFoundError):
            await store.inspect("s")
