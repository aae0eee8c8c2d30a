"""What is taken back is found by no query any more, at once, and is stored nowhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from miniagent_store import Message, SessionNotFoundError, SessionStore, open_store
from miniagent_store.agent.memory.agent_memory import what_was_said
from miniagent_store.store.memory.scope import MemoryScope
from miniagent_store.store.memory.searching import Mode
from miniagent_store.values import MemorySource

SAID = ["My dog is called Rex", "I live in Berlin", "I like green tea", "My sister is called Eve"]


async def _told(store: SessionStore, **create: Any) -> tuple[str, MemoryScope]:
    """A session of which all is remembered."""
    session = await store.create(user_id="ada", **create)
    await store.append(session.id, *map(Message.user, SAID))
    memory = store.memory("ada")
    assert await memory.follow(session.id, what_was_said) == len(SAID)
    assert await memory.follow(session.id, what_was_said) == 0
    return session.id, memory


async def _found(memory: MemoryScope) -> list[str]:
    """What any query finds, which must be what is stored."""
    modes: tuple[Mode, ...] = ("hybrid", "vector", "words")
    found = {
        each.text
        for query in SAID
        for mode in modes
        for each in await memory.search(query, k=100, mode=mode)
    }
    assert found == {each.text for each in await memory.list()}
    return [each for each in SAID if each in found]


async def _is_stored(memory: MemoryScope) -> set[str]:
    """What stands in the record, shown or not."""
    snapshot = await memory._core.read(_whole(memory))
    texts, names = set(), []
    for value in (each for scan in snapshot.scans for each in scan):
        if value.name.startswith("m/"):
            texts.add(memory._core.coding.decode_value(memory._record_id, value)["text"])
        elif value.name[:2] in ("v/", "s/"):
            names.append(value.name)
    assert len(names) == 2 * len(texts)
    return texts


def _whole(memory: MemoryScope) -> Any:
    from miniagent_store.backend import ReadPlan, StateScan

    return ReadPlan(memory._record_id, scans=(StateScan(),))


async def _popped(store: SessionStore, session_id: str) -> None:
    await store.pop(session_id, 2)


async def _replaced(store: SessionStore, session_id: str) -> None:
    await store.replace(session_id, [Message.user("I like coffee")], from_seq=3)


async def _in_a_batch(store: SessionStore, session_id: str) -> None:
    async with store.batch(session_id) as batch:
        batch.redact(1, reason="asked for")
        batch.trim(before=3)
        batch.append(Message.user("Good morning"))


WAYS: dict[str, tuple[Callable[[SessionStore, str], Awaitable[Any]], list[str]]] = {
    "redact": (lambda store, it: store.redact(it, 2, reason="asked for"), [SAID[0], SAID[2], SAID[3]]),
    "rewind": (lambda store, it: store.rewind(it, to=1), SAID[:1]),
    "clear": (lambda store, it: store.clear(it), []),
    "trim": (lambda store, it: store.trim(it, before=4), SAID[3:]),
    "delete": (lambda store, it: store.delete(it), []),
    "pop": (_popped, SAID[:2]),
    "replace": (_replaced, SAID[:2]),
    "batch": (_in_a_batch, SAID[2:]),
}


async def test_what_is_taken_back_is_found_no_more(store: SessionStore, url: str) -> None:
    for way, (take_back, left) in WAYS.items():
        session_id, memory = await _told(store)
        async with open_store(url) as other:
            theirs = other.memory("ada")
            assert await _found(theirs) == SAID
            await take_back(store, session_id)
            assert await _found(memory) == left, way
            assert await _found(theirs) == left, way
            assert await _is_stored(theirs) == set(left), way
        # What came in its place is remembered, and what is left not again.
        new = await memory.follow(session_id, what_was_said)
        assert new == {"replace": 1, "batch": 1}.get(way, 0), way
        await store.delete(session_id)
        assert await _is_stored(memory) == set()


async def test_a_session_that_expires_leaves_what_was_not_to_go_with_it(store: SessionStore) -> None:
    memory = store.memory("ada")
    for forget in (False, True):
        session = await store.create(user_id="ada", ttl=0.2)
        await store.append(session.id, Message.user(SAID[forget]))
        await memory.follow(session.id, what_was_said, forget_on_expiry=forget)
        source = MemorySource(session.id, None, None, session.incarnation)
        await memory.add(SAID[2 + forget], source=source, forget_on_expiry=forget)
        async with asyncio.timeout(10):
            while await _is_there(store, session.id):
                await asyncio.sleep(0.02)
    kept = [SAID[0], SAID[2]]
    assert await _found(memory) == kept
    async with asyncio.timeout(20):
        while await _is_stored(memory) != set(kept):
            await store.sweep()
            await asyncio.sleep(0.05)
    assert await _found(memory) == kept


async def _is_there(store: SessionStore, session_id: str) -> bool:
    try:
        await store.get(session_id)
    except SessionNotFoundError:
        return False
    return True


async def test_what_is_added_by_hand_goes_with_its_source(store: SessionStore) -> None:
    session = await store.create(user_id="ada")
    await store.append(session.id, *map(Message.user, SAID))
    memory = store.memory("ada")
    entries = await store.entries(session.id)
    await memory.add_many(
        {"said": entry.value["content"], "source": MemorySource(session.id, entry.seq, entry.id)}
        for entry in entries[:2]
    )
    await memory.add(SAID[2], source=MemorySource(session.id))  # of all of it
    await memory.add(SAID[3])  # of nothing
    await store.redact(session.id, 1, reason="asked for")
    assert await _found(memory) == [SAID[1], SAID[3]]
    await store.delete(session.id)
    assert await _found(memory) == [SAID[3]]
    with pytest.raises(SessionNotFoundError):
        await memory.add("too late", source=MemorySource(session.id, 2, entries[1].id))
    assert await _found(memory) == [SAID[3]]


async def test_one_that_was_replaced_does_not_go_with_its_first_source(store: SessionStore) -> None:
    first, second = await store.create(), await store.create()
    memory = store.memory("ada")
    await memory.add(SAID[0], id="fact", source=MemorySource(first.id))
    await memory.add(SAID[1], id="fact", source=MemorySource(second.id))
    await store.delete(first.id)
    assert await _found(memory) == [SAID[1]]
    await store.delete(second.id)
    assert await _found(memory) == []


async def test_what_was_forgotten_by_hand_is_not_remembered_again(store: SessionStore) -> None:
    session_id, memory = await _told(store)
    [dog] = [each for each in await memory.list() if each.text == SAID[0]]
    await memory.delete(dog.id)
    await store.redact(session_id, 2, reason="asked for")
    assert await memory.follow(session_id, what_was_said) == 0
    assert await _found(memory) == SAID[2:]

    await memory.forget()
    forgotten = time.time()
    while int(time.time() * 1000) <= int(forgotten * 1000) + 1:
        await asyncio.sleep(0)  # what is said in the same millisecond is forgotten too
    assert await memory.follow(session_id, what_was_said) == 0
    await store.append(session_id, Message.user(SAID[0]))
    assert await memory.follow(session_id, what_was_said) == 1
    assert await _found(memory) == [SAID[0]]


async def test_taking_back_and_following_at_once(store: SessionStore) -> None:
    """However a follower and who takes back meet, nothing of it is left, nor comes later."""
    for number in range(12):
        session = await store.create(user_id="ada")
        await store.append(session.id, *map(Message.user, SAID))
        memory = store.memory("ada")

        async def slowly(text: str | None = None, *, turns: int = number) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        async def remember(message: Message, slowly: Any = slowly) -> str | None:
            await slowly()
            return what_was_said(message)

        way = [store.delete, store.clear][number % 2]
        await asyncio.gather(memory.follow(session.id, remember), way(session.id))
        assert await _found(memory) == []
        assert await _is_stored(memory) == set()
        await memory.follow(session.id, what_was_said)
        assert await _is_stored(memory) == set()


async def test_who_reads_before_a_deletion_remembers_nothing_after_it(store: SessionStore) -> None:
    session = await store.create(user_id="ada")
    await store.append(session.id, Message.user(SAID[0]))
    memory = store.memory("ada")
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def remember(message: Message) -> str | None:
        reading.set()
        await go_on.wait()
        return what_was_said(message)

    following = asyncio.create_task(memory.follow(session.id, remember))
    await reading.wait()
    await store.delete(session.id)
    go_on.set()
    assert await following == 0
    assert await _is_stored(memory) == set()


async def test_who_dies_between_taking_back_and_forgetting_leaves_nothing_shown(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id, memory = await _told(store)
    known = [each.id for each in await memory.list()]
    with monkeypatch.context() as dying:

        async def die(*_: Any) -> None: ...

        dying.setattr("miniagent_store.store.memory.forgetting.forget_taken_back", die)
        await store.rewind(session_id, to=2)
    ids = [each.id for each in await memory.list()]
    assert await _found(memory) == SAID[:2]
    assert await _is_stored(memory) == set(SAID)
    assert [await memory.get(each) is not None for each in known] == [each in ids for each in known]
    assert await memory.behind([await store.get(session_id)]) == [session_id]
    await memory.follow(session_id, what_was_said)
    assert await _is_stored(memory) == set(SAID[:2])
    assert await memory.behind([await store.get(session_id)]) == []


async def test_a_session_without_memories_is_deleted_with_two_calls_of_the_backend(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await store.create()
    backend, calls = store._core.backend, []  # type: ignore[attr-defined]
    for name in ("read", "commit", "delete", "list"):
        real = getattr(backend, name)

        def counted(*given: Any, name: str = name, real: Any = real) -> Any:
            calls.append(name)
            return real(*given)

        monkeypatch.setattr(backend, name, counted, raising=False)
    await store.append(session.id, Message.user("Hello"))
    await store.clear(session.id)
    await store.delete(session.id)
    assert calls == ["commit", "commit", "read", "delete"]


async def test_a_session_that_is_missing_before_its_time_was_deleted(store: SessionStore) -> None:
    """Whoever dies while he remembers a session that is deleted at the same moment leaves nothing shown."""
    session_id, memory = await _told(store, ttl="1h")
    by_hand = await store.create()
    await memory.add("by hand", source=MemorySource(by_hand.id))
    for each in (session_id, by_hand.id):
        assert await store._core.backend.delete(each, None)  # type: ignore[attr-defined]
    assert [each.text for each in await memory.list()] == []
    assert await memory.search(SAID[0], k=100) == []
