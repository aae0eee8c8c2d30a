"""Sessions that come again, are moved, forked, shredded, or damaged."""

from __future__ import annotations

import asyncio
from pathlib import Path

from miniagent_store import Key, Keyring, Message, SessionNotFoundError, SessionStore, open_store
from miniagent_store.agent.memory.agent_memory import what_was_said
from miniagent_store.moving.journal import Journal
from miniagent_store.moving.migrating import Migration
from miniagent_store.store.memory.scope import MemoryScope


async def _texts(memory: MemoryScope) -> set[str]:
    return {each.text for each in await memory.list()}


async def test_a_session_of_the_same_id_after_one_that_expired(store: SessionStore) -> None:
    memory = store.memory("ada")
    for forget, text in ((False, "My dog is called Rex"), (True, "I like tea")):
        await store.create("again", ttl=0.2)
        await store.append("again", Message.user(text))
        await memory.follow("again", what_was_said, forget_on_expiry=forget)
        async with asyncio.timeout(10):
            while True:
                try:
                    await store.get("again")
                except SessionNotFoundError:
                    break
                await asyncio.sleep(0.02)
    await store.create("again")
    await store.append("again", Message.user("I live in Berlin"), Message.user("Hello"))
    await memory.follow("again", what_was_said)
    assert await _texts(memory) == {"My dog is called Rex", "I live in Berlin", "Hello"}
    # What is taken back of this one is not taken back of the one before.
    await store.redact("again", 1, reason="asked for")
    assert await _texts(memory) == {"My dog is called Rex", "Hello"}
    await store.delete("again")
    assert await _texts(memory) == set()


async def test_a_session_that_was_moved_is_the_same(tmp_path: Path) -> None:
    async with (
        open_store(f"sqlite:///{tmp_path}/one.db") as source,
        open_store(f"sqlite:///{tmp_path}/two.db") as target,
    ):
        session = await source.create(user_id="ada")
        said = ["My dog is called Rex", "I like tea", "I live in Berlin"]
        await source.append(session.id, *map(Message.user, said))
        old = source.memory("ada")
        await old.follow(session.id, what_was_said)
        [tea] = [each for each in await old.list() if each.text == said[1]]
        await old.delete(tea.id)
        migration = Migration(source, target, Journal(tmp_path / "journal.db", "from", "to"))
        await migration.copy()
        await migration.finish(quiet=0.1)

        new = target.memory("ada")
        assert await _texts(new) == {said[0], said[2]}
        # What was forgotten there is not remembered again here, and what is taken back here goes.
        await target.append(session.id, Message.user("Hello"))
        assert await new.follow(session.id, what_was_said) == 1
        assert await _texts(new) == {said[0], said[2], "Hello"}
        await target.redact(session.id, 1, reason="asked for")
        assert await _texts(new) == {said[2], "Hello"}
        assert next(each.text for each in await new.search("Rex the dog")) != said[0]


async def test_a_fork_has_memories_of_its_own(store: SessionStore) -> None:
    session = await store.create(user_id="ada")
    await store.append(session.id, Message.user("I like tea"))
    memory = store.memory("ada")
    await memory.follow(session.id, what_was_said)
    fork = await store.fork(session.id)
    await memory.follow(fork.id, what_was_said)
    assert len(await memory.list()) == 2
    await store.delete(session.id)
    [left] = await memory.list()
    assert left.source is not None
    assert left.source.session_id == fork.id


async def test_what_is_shredded_is_not_remembered_either(tmp_path: Path) -> None:
    async with open_store(
        f"sqlite:///{tmp_path}/sessions.db?serializer=msgpack+encrypted&shred=true",
        keyring=Keyring([Key.generate("k")]),
    ) as store:
        session = await store.create(user_id="ada")
        await store.append(session.id, Message.user("I like tea"))
        memory = store.memory("ada")
        await memory.follow(session.id, what_was_said)
        assert await _texts(memory) == {"I like tea"}
        assert await store.shred(session.id)
        assert await _texts(memory) == set()
        # Nobody can read any more where its memories were; it is deleted all the same.
        assert await store.delete(session.id)


async def test_no_lost_key_is_in_the_way_of_deleting(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sessions.db?serializer=msgpack+encrypted"
    one, other = Keyring([Key.generate("one")]), Keyring([Key.generate("other")])
    async with open_store(url, keyring=one) as store:
        session = await store.create(user_id="ada")
        await store.append(session.id, Message.user("I like tea"))
        await store.memory("ada").follow(session.id, what_was_said)
        await store.memory("ada").add("I live in Berlin")
    async with open_store(url, keyring=other) as store:
        assert await store.delete(session.id)
    async with open_store(url, keyring=one) as store:
        assert await _texts(store.memory("ada")) == {"I live in Berlin"}
