"""What one tenant tries with another's memories, beside `attempts`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from miniagent_store import InvalidArgumentError, Message
from miniagent_store.store.memory.scope import MemoryScope
from miniagent_store.store.memory.searching import Mode
from miniagent_store.values import MemorySource
from tests.tenants.attempts import MORE, SECRET, World, tries

MODES: tuple[Mode, ...] = ("vector", "words", "hybrid")
NESTED: Any = "m"
for _ in range(50):
    NESTED = {"$eq": NESTED}
# Whatever of these is a filter, it looks at mine only.
FILTERS: list[Any] = [
    {},
    {"m": SECRET},
    {"m": {"$ne": 1}},
    {"n": {"$gte": -(10**40)}},
    {"$where": "true"},
    {"m": {"$where": "true"}},
    {"*": "*"},
    {"$.m": "*"},
    {'m" or "" == "': ""},
    {"m": '" or 1 or "'},
    {"m": "' OR '1'='1"},
    {"m": {"$in": ["*", SECRET, None]}},
    {"m": "x" * 10_240},
    {"x" * 10_240: None},
    {"m": NESTED},
    {"m": "\ud800"},
]


async def all_found(memory: MemoryScope, *, filters: Iterable[Any] = (None,)) -> set[str]:
    """By every way to ask, with each filter."""
    found = {each.id for each in (await memory.list(limit=1000)).items}
    for wanted in filters:
        for mode in MODES:
            with contextlib.suppress(InvalidArgumentError):
                found |= {each.id for each in await memory.search(SECRET, filter=wanted, mode=mode)}
    return found


@tries("memory.search", "memory.list", "memory.get")
async def read_memories(w: World) -> None:
    memory = w.mine.memory(w.id)
    assert await all_found(memory, filters=FILTERS) == set()
    assert await memory.get(w.id) is None
    await memory.add("mine", id="mine", metadata={"m": "mine"})
    assert await all_found(memory, filters=FILTERS) == {"mine"}
    assert {each.id for each in await memory.list(cursor=w.id)} <= {"mine"}
    assert [each.id for each in await memory.search([1.0] * 512)] == ["mine"]


@tries("memory.add", "memory.add_many", "memory.delete")
async def write_memories(w: World) -> None:
    memory = w.mine.memory(w.id)
    assert await memory.delete(w.id) == 0
    await memory.add("mine", id=w.id, metadata={"m": "mine"})
    await memory.add_many([{"said": "mine too", "id": f"{w.id}-2"}, {"said": "mine again", "id": w.id}])
    assert await all_found(memory) == {w.id, f"{w.id}-2"}
    assert await memory.delete(w.id, f"{w.id}-2") == 2


@tries("memory.delete_of", "memory.follow", "memory.behind")
async def memories_of_sessions(w: World) -> None:
    memory = w.mine.memory(w.id)
    assert await memory.follow(w.id, lambda message: message.content) == 0
    assert await memory.delete_of(w.id) == 0
    # As a source, a session of theirs is one that I do not have.
    await memory.add("mine", id="mine", source=MemorySource(w.id, 1))
    assert await all_found(memory) <= {"mine"}
    await memory.delete("mine")
    session = await w.mine.append(w.id, Message.user("mine"), create=True)
    assert await memory.behind([session]) == [w.id]
    assert await memory.behind([w.session]) == [w.id]
    assert await memory.follow(w.id, lambda message: message.content) == 1
    assert [each.text for each in await memory.list()] == ["mine"]
    await w.mine.redact(w.id, 1, reason="test")
    assert list(await memory.list()) == []
    await memory.add("mine", id="mine", source=MemorySource(w.id))
    assert await memory.delete_of(w.id) == 1
    await w.mine.clear(w.id)
    await w.mine.delete(w.id)


@tries("memory.forget")
async def forget_memories(w: World) -> None:
    memory = w.mine.memory(w.id)
    assert not await memory.forget()
    await memory.add("mine")
    assert await memory.forget()


async def scopes_that_could_be_patterns(w: World) -> None:
    """Scopes and ids that would be patterns, or places, if anything took them for that."""
    of_theirs = w.theirs.url.partition("namespace=")[2]
    for name in (
        "*",
        f"{w.id}*",
        f"../{w.id}",
        f"{of_theirs}/memory/{w.id}",
        f"{w.id}/",
        f"%{w.id}",
        "_" * 16,
    ):
        memory = w.mine.memory(name)
        assert await all_found(memory) == set()
        assert await memory.get(w.id) is None
        assert await memory.delete(w.id, "*", "%", "m/") == 0
        assert await memory.delete_of(w.id) == 0


@tries("memory.reindex", "memory.stats", "memory.model")
async def run_memories(w: World) -> None:
    memory = w.mine.memory(w.id)
    assert (await memory.stats()).memories == 0
    assert await memory.model() is None
    await memory.reindex("hash", again=True)
    await memory.add("mine", id="mine")
    assert (await memory.stats()).memories == 1
    await memory.reindex("hash", again=True)
    assert await all_found(memory) == {"mine"}


MORE += [scopes_that_could_be_patterns]
