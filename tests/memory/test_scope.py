"""What is added is found, until it is taken back."""

from __future__ import annotations

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.values import MemorySource


async def test_what_was_told_is_found_by_another_process(store: SessionStore, store_url: str) -> None:
    memory = store.memory("ada")
    await memory.add("I live in Berlin and love sushi", metadata={"topic": "food", "year": 2024})
    await memory.add("My dog is called Rex", id="dog", metadata={"topic": "pets"})

    async with open_store(store_url) as other:
        theirs = other.memory("ada")
        assert [each.id for each in await theirs.search("what is the dog called?", k=1)] == ["dog"]
        [found] = await theirs.search("dog", filter={"year": {"$gte": 2024}})
        assert found.metadata["topic"] == "food"

        await memory.add("My dog is called Max", id="dog")
        assert [each.text for each in await theirs.search("dog", k=1)] == ["My dog is called Max"]
        assert await theirs.delete("dog", "cat") == 1
        assert [each.id for each in await memory.search("dog")] == [found.id]

        assert await theirs.forget()
        assert await memory.search("dog") == []


async def test_scopes_do_not_see_each_other(store: SessionStore) -> None:
    await store.memory("ada").add("My dog is called Rex", id="dog")
    assert await store.memory("bob").search("dog") == []
    assert await store.memory("bob").get("dog") is None
    assert await store.tenant("other").memory("ada").search("dog") == []


async def test_pages_are_in_the_order_of_time(store: SessionStore) -> None:
    memory = store.memory("ada")
    added = await memory.add_many([f"fact {number}" for number in range(7)])

    page = await memory.list(limit=4)
    rest = await memory.list(limit=4, cursor=page.next_cursor)
    assert [each.text for each in [*page, *rest]] == [
        each.text for each in sorted(added, key=lambda each: each.id)
    ]
    assert rest.next_cursor is None


async def test_a_message_that_is_taken_back_is_not_found_any_more(store: SessionStore) -> None:
    session = await store.create(user_id="ada")
    await store.append(session.id, Message.user("My dog is called Rex"), Message.user("I like tea"))
    memory = store.memory("ada")
    for entry in await store.entries(session.id):
        source = MemorySource(session.id, entry.seq, entry.id, session.incarnation)
        await memory.add(entry.value["content"], source=source)

    await store.redact(session.id, 1, reason="asked for")
    assert [each.text for each in await memory.search("my dog likes tea")] == ["I like tea"]
    await store.rewind(session.id, to=0)
    await store.append(session.id, Message.user("Good morning"), Message.user("Good evening"))
    assert await memory.search("my dog likes tea") == []
    assert await memory.delete_of(session.id) == 0  # they went with the messages
    assert list(await memory.list()) == []
