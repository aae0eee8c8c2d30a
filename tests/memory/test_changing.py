"""Adding, replacing, deleting and forgetting, one after the other and all at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.backend import ReadPlan, StateScan
from miniagent_store.store.memory import emptying, layout, trimming
from miniagent_store.store.memory.indexed import Indexed
from miniagent_store.testing import backend_of, eventually
from miniagent_store.values import MemorySource
from tests.memory.plain_reference import Letters, ids_of

LETTERS = Letters()


async def names_in(store: SessionStore, scope: str) -> list[str]:
    """The state values of a scope."""
    plan = ReadPlan(layout.record_of(scope), scans=(StateScan(),))
    return [each.name for scan in (await backend_of(store).read(plan)).scans for each in scan]


async def test_one_that_is_replaced_is_of_another_session(store: SessionStore) -> None:
    for name in ("first", "second"):
        await store.append(name, Message.user("abc"), create=True)
    memory = store.memory("ada", embedder=LETTERS)
    await memory.add("abc", id="1", source=MemorySource("first", 1))
    await memory.add("abd", id="1", source=MemorySource("second", 1))

    names = await names_in(store, "ada")
    assert layout.source_name("second", "1") in names
    assert layout.source_name("first", "1") not in names
    assert await memory.delete_of("first") == 0
    assert await memory.delete_of("second") == 1

    await memory.add("abc", id="1", source=MemorySource("first", 1))
    await memory.add("abc", id="1")
    assert await memory.delete_of("first") == 0
    assert ids_of(await memory.list()) == ["1"]


async def test_of_one_id_that_comes_twice_the_last_one_stays(store: SessionStore) -> None:
    memory = store.memory("ada", embedder=LETTERS)
    await store.append("s", Message.user("abc"), create=True)
    new = [
        {"said": "abc", "id": "1", "source": MemorySource("s", 1)},
        {"said": "bcd", "id": "2"},
        {"said": "def", "id": "1"},
    ]
    added = await memory.add_many(new)
    assert [each.text for each in added] == ["abc", "bcd", "def"]
    assert {each.id: each.text for each in await memory.list()} == {"1": "def", "2": "bcd"}
    assert await memory.delete_of("s") == 0
    assert ids_of(await memory.search("def", k=1, mode="vector")) == ["1"]


async def test_what_has_expired_is_gone_at_once_and_from_the_store(store: SessionStore) -> None:
    memory = store.memory("ada", embedder=LETTERS)
    await memory.add("abc", id="stays")
    await memory.add("abc", id="goes", ttl=0.2)
    assert ids_of(await memory.search("abc", mode="vector")) == ["goes", "stays"]
    await eventually(lambda: is_gone(memory, "goes"))
    for mode in ("vector", "words", "hybrid"):
        assert ids_of(await memory.search("abc", mode=mode)) in (["stays"], [])
    assert ids_of(await memory.list()) == ["stays"]
    assert await memory.delete("goes") == 0
    assert not [each for each in await names_in(store, "ada") if each.endswith("goes")]


async def is_gone(memory: Any, id: str) -> bool:
    return await memory.get(id) is None


async def test_the_log_of_changes_stays_short_and_who_is_behind_begins_anew(
    store: SessionStore, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimming, "KEPT", 6)
    monkeypatch.setattr(trimming, "EVERY", 4)
    memory = store.memory("ada", embedder=LETTERS)
    async with open_store(store_url) as other:
        theirs = other.memory("ada", embedder=LETTERS)
        await memory.add("a", id="first")
        assert ids_of(await theirs.search("a")) == ["first"]
        for number in range(20):
            await memory.add("ab", id=str(number % 7))
            if number % 5 == 0:
                await memory.delete(str(number % 7))
        await memory.delete("first")
        record = (await backend_of(store).read(ReadPlan(layout.record_of("ada")))).record
        assert record is not None
        tail = record.tail(layout.CHANGES)
        assert tail.last - tail.base <= 6 + 4
        assert tail.last == 26
        for mode in ("vector", "words"):
            query = "ab"
            assert sorted(ids_of(await theirs.search(query, mode=mode))) == ids_of(await memory.list())
    assert len(await memory.list()) == 6


async def test_a_large_scope_is_forgotten_in_steps_that_are_told(
    store: SessionStore, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emptying, "AT_ONCE", 8)
    memory = store.memory("ada", embedder=LETTERS)
    await store.append("s", Message.user("abc"), create=True)
    new = [{"said": "abc", "id": f"{number:02}", "source": MemorySource("s", 1)} for number in range(30)]
    await memory.add_many(new)

    class Stopped(Exception):
        pass

    def stop(gone: int) -> None:
        if gone >= 16:
            raise Stopped

    with pytest.raises(Stopped):
        await memory.forget(progress=stop)
    async with open_store(store_url) as other:
        theirs = other.memory("ada", embedder=LETTERS)
        # A part is forgotten, and what is left is whole.
        for each in (memory, theirs):
            for mode in ("vector", "words"):
                assert len(await each.search("abc", k=50, mode=mode)) == 14
        told: list[int] = []
        assert await theirs.forget(progress=told.append)
        assert (told[-1], told) == (14, sorted(told))
        for each in (memory, theirs):
            assert await each.search("abc") == []
            assert not await each.forget()
    assert await names_in(store, "ada") == [layout.FORGOTTEN]
    # What was said before it was forgotten is not remembered after it.
    assert await memory.follow("s", lambda message: str(message.content)) == 0
    await memory.add("abc", id="new")
    assert ids_of(await memory.search("abc", mode="vector")) == ["new"]


async def test_what_is_added_while_all_is_forgotten_is_found(
    store: SessionStore, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose vectors they are was said in what is forgotten, and is said again."""
    memory = store.memory("ada", embedder=LETTERS)
    await memory.add("abc", id="old")
    claim = Indexed.claim
    async with open_store(store_url) as other:

        async def forgotten_then(self: Indexed, *arguments: Any) -> Any:
            claimed = await claim(self, *arguments)
            monkeypatch.undo()
            await other.memory("ada", embedder=LETTERS).forget()
            return claimed

        monkeypatch.setattr(Indexed, "claim", forgotten_then)
        await memory.add("abc", id="new")
        for each in (memory, other.memory("ada", embedder=LETTERS)):
            assert ids_of(await each.search("abc", mode="vector")) == ["new"]


async def test_all_at_once_leaves_nothing_half(store: SessionStore, store_url: str) -> None:
    """Several processes add, replace, delete and forget; a memory is whole, or it is not there."""
    async with open_store(store_url) as other:
        views = [each.memory("ada", embedder=LETTERS) for each in (store, other)]

        async def work(number: int) -> None:
            memory = views[number % 2]
            for step in range(6):
                await memory.add("abc", id=str(step % 3))
                await memory.add(f"abc {number}")
                if number == 0 and step in {1, 3}:
                    await memory.forget()
                elif step % 3 == 1:
                    await memory.delete(str(step % 3), "none")
                await memory.search("abc", mode="vector")

        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(work(number))

        there = sorted(ids_of(await views[0].list(limit=100)))
        assert there
        for memory in views:
            for mode in ("vector", "words"):
                assert sorted(ids_of(await memory.search("abc", k=100, mode=mode))) == there
    names = await names_in(store, "ada")
    assert sorted(each[2:] for each in names if each.startswith("m/")) == there
    assert sorted(each[2:] for each in names if each.startswith("v/")) == there
