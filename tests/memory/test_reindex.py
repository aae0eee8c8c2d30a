"""Other vectors for all memories, without a gap: nothing is lost, and nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from miniagent_store import ConfigurationError, EmbeddingError, SessionStore, open_store
from miniagent_store.memory_report import Reindexing
from tests.memory.reindexing import PLACES, Short, check_vectors

pytestmark = PLACES


async def _fill(store: SessionStore, count: int = 250) -> None:
    await store.memory("ada").add_many(
        {"said": f"Fact {number} is about {('tea', 'dogs', 'jazz')[number % 3]}", "id": f"f{number}"}
        for number in range(count)
    )


async def test_all_get_new_vectors_and_the_old_is_refused(store: SessionStore, store_url: str) -> None:
    await _fill(store)
    old, new = store.memory("ada"), store.memory("ada", embedder=Short())
    assert len(await old.search("tea", mode="vector")) == 10
    with pytest.raises(ConfigurationError, match="reindex ada --embedder short"):
        await new.search("tea")

    steps: list[Reindexing] = []
    done = await old.reindex(Short(), progress=steps.append)

    assert (done.model, done.step, done.looked, done.made, done.removed) == ("short", "done", 250, 250, 250)
    assert [each.step for each in steps if each.looked == 100] == ["reading"]
    assert len(await check_vectors(new, Short())) == 250
    assert {each.text.split()[-1] for each in await new.search("tea", mode="vector")} == {"tea"}
    for call in (old.search("tea"), old.add("I like tea")):
        with pytest.raises(ConfigurationError, match="vectors of short"):
            await call
    stats = await new.stats()
    assert (stats.memories, stats.model, stats.dimensions, stats.generation) == (250, "short", 96, 1)
    assert stats.bytes > 250 * 96 * 4
    assert stats.reindexing is None
    # To the model of before, in another process, and what is of it already.
    async with open_store(store_url) as other:
        assert (await other.memory("ada").reindex("hash")).made == 250
        assert (await other.memory("ada").reindex("hash")).made == 0
        assert len(await check_vectors(other.memory("ada"))) == 250
        assert len(await other.memory("ada").search("tea", mode="vector")) == 10
    assert len(await old.search("tea", mode="vector")) == 10
    # The same model, made anew all the same.
    assert (await old.reindex("hash", again=True)).made == 250
    assert (await old.stats()).generation == 3
    assert len(await check_vectors(old)) == 250


async def test_nothing_to_do(store: SessionStore) -> None:
    assert (await store.memory("nobody").reindex(Short())).made == 0
    assert (await store.memory("nobody").stats()).memories == 0
    await store.memory("ada").add("tea", id="tea")
    await store.memory("ada").delete("tea")
    await store.memory("ada").reindex(Short())
    await store.memory("ada", embedder=Short()).add("tea")
    await check_vectors(store.memory("ada"), Short())


async def test_others_read_and_write_meanwhile(store: SessionStore, store_url: str) -> None:
    await _fill(store)
    async with open_store(store_url) as other:
        theirs = other.memory("ada")
        calls = 0

        async def before(texts: Sequence[str]) -> None:
            nonlocal calls
            calls += 1
            if calls <= 3:
                # Of what is embedded now, of what was, and of what will be.
                await theirs.add("I moved to Berlin", id=f"f{calls * 50}")
                await theirs.add("I like oysters", id=f"new{calls}", ttl="1h")
                assert await theirs.delete(f"f{calls}", f"f{200 + calls}", "f99") >= 2
                # What the new model has a vector of already, and goes again or changes.
                await theirs.add("Short lived", id=f"f{calls + 100}", ttl="1d")
                found = await theirs.search("oysters", k=3, mode="vector")
                assert found[0].text == "I like oysters"

        await store.memory("ada").reindex(Short(before=before))
        texts = await check_vectors(store.memory("ada"), Short())
        assert len(texts) == 250 - 7 + 3
        new = other.memory("ada", embedder=Short())
        assert {each.id for each in await new.search("oysters", k=3, mode="vector")} == {
            "new1",
            "new2",
            "new3",
        }
        page = await new.list(limit=500)
        assert {each.id for each in page if each.expires_at} >= {"new1", "f101", "f102", "f103"}


async def test_what_the_old_model_adds_after_the_switch_is_found(store: SessionStore) -> None:
    """A process that has read which model is in use, and commits when it is another."""
    await _fill(store, 5)
    old, new = store.memory("ada"), store.memory("ada", embedder=Short())
    late = [old._new("I like oysters", id="oysters"), old._new("Not jazz but Bach", id="f2")]
    batch, again = old._batch(), old._batch()
    await old._put(batch, late)
    await old._put(again, [old._new("My dog is called Rex", id="dog")])
    await old.reindex(Short())
    await batch.commit("memory.add")

    found = await asyncio.gather(*(new.search("oysters", k=1, mode="vector") for _ in range(3)))
    assert [[each.id for each in some] for some in found] == [["oysters"]] * 3
    assert [each.text for each in await new.search("Bach", k=1, mode="vector")] == ["Not jazz but Bach"]

    await new.reindex("hash")
    assert [each.id for each in await old.search("oysters", k=1, mode="vector")] == ["oysters"]
    await old.reindex(Short())
    # Of a generation long gone, under a name that is in use again.
    await old.reindex("hash")
    await again.commit("memory.add")
    assert [each.id for each in await old.search("dog Rex", k=1, mode="vector")] == ["dog"]
    assert len(await check_vectors(old)) == 7


async def test_what_cannot_be_embedded_leaves_the_old_vectors_in_use(store: SessionStore) -> None:
    await _fill(store)
    memory = store.memory("ada")

    async def before(texts: Sequence[str]) -> None:
        if any("Fact 9" in text for text in texts):
            raise EmbeddingError("short", "is tired")

    with pytest.raises(EmbeddingError):
        await memory.reindex(Short(before=before))
    assert len(await memory.search("tea", mode="vector")) == 10
    stats = await memory.stats()
    assert stats.model == "hash:512"
    assert stats.reindexing == {"name": "short", "dimensions": 96, "in_use": False}
    await memory.delete("f0")
    # Given up: nothing is left of it.
    await memory.reindex("hash")
    assert len(await check_vectors(memory)) == 249
    assert (await memory.stats()).reindexing is None


async def test_of_two_models_the_later_one_wins(store: SessionStore, store_url: str) -> None:
    await _fill(store)
    async with open_store(store_url) as other:

        async def before(texts: Sequence[str]) -> None:
            if "Fact 249 is about dogs" in texts or len(texts) < 100:
                await other.memory("ada").reindex(Short("later", dimensions=64))

        with pytest.raises(ConfigurationError, match="another model"):
            await store.memory("ada").reindex(Short(before=before))
        await check_vectors(store.memory("ada"), Short("later", dimensions=64))


async def test_two_make_the_same_vectors_at_once(store: SessionStore, store_url: str) -> None:
    await _fill(store)
    async with open_store(store_url) as other:
        await asyncio.gather(store.memory("ada").reindex(Short()), other.memory("ada").reindex(Short()))
        assert len(await check_vectors(other.memory("ada"), Short())) == 250


async def test_a_scope_that_is_forgotten_meanwhile_stays_forgotten(store: SessionStore) -> None:
    await _fill(store)
    memory = store.memory("ada")

    async def before(texts: Sequence[str]) -> None:
        await memory.forget()

    await memory.reindex(Short(before=before))
    assert list(await memory.list()) == []
    assert (await memory.stats()).memories == 0


async def test_a_message_that_is_taken_back_meanwhile_leaves_no_vector(store: SessionStore) -> None:
    from miniagent_store import Message

    session = await store.create()
    memory = store.memory("ada")
    await store.append(session.id, *(Message.user(f"Fact {number} is tea") for number in range(150)))
    await memory.follow(session.id, lambda message: str(message.content))

    async def before(texts: Sequence[str]) -> None:
        if len(texts) < 100:
            # Some have their new vector by now, some get one just now.
            await store.rewind(session.id, to=20)

    await memory.reindex(Short(before=before))
    assert len(await check_vectors(memory, Short())) == 20


async def test_memories_expire_with_their_new_vectors(store: SessionStore) -> None:
    memory = store.memory("ada")
    await memory.add("tea", ttl=1.5)
    await memory.reindex(Short())
    new: Any = store.memory("ada", embedder=Short())
    assert len(await check_vectors(new, Short())) == 1
    async with asyncio.timeout(10):
        while await new.search("tea"):
            await asyncio.sleep(0.05)
    await new.add("dogs")
    assert len(await check_vectors(new, Short())) == 1
