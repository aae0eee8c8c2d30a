"""`MiniAgentConversationStore`: what the contract of conversation stores asks, on every place."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("pydantic_ai.conversation_store")

from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict, ConversationEntry, ConversationRecord
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart

from miniagent_store import open_store
from miniagent_store.errors import EncodeError
from miniagent_store.integrations.pydantic_ai import MiniAgentConversationStore
from tests.integrations.pydantic_ai.scripted import make_agent, told


def says(*texts: str) -> list[ModelRequest]:
    return [ModelRequest([UserPromptPart(text)]) for text in texts]


async def put(
    store: MiniAgentConversationStore, name: str, *texts: str, scope: str | None = None
) -> Conversation:
    conversation = Conversation(conversation_id=name, messages=[*says(*texts)])
    await store.save(conversation, scope=scope)
    return conversation


async def texts_of(store: MiniAgentConversationStore, name: str, **options: int) -> list[str] | None:
    conversation = await store.load(name, **options)
    return None if conversation is None else contents(conversation)


def contents(conversation: Conversation) -> list[Any]:
    return [getattr(part, "content", None) for each in conversation.messages for part in each.parts]


async def test_five_turns_with_tools(url: str) -> None:
    agent = make_agent()
    async with open_store(url) as near:
        store = MiniAgentConversationStore(near)
        other = MiniAgentConversationStore(near)
        expected = None
        for turn in range(5):
            conversation = await store.load("c") or Conversation(conversation_id="c")
            expected = await agent.run(f"turn {turn}", conversation=conversation)
            assert len(await store.save(expected, scope="ada")) == 4
        loaded = await other.load("c")
        assert loaded is not None
        assert expected is not None
        assert loaded.messages == expected.all_messages()
        assert loaded.usage == expected.conversation.usage
        assert len(told(loaded.messages)) == 20
        # Only what is new was stored, and each message once.
        session = (await near.list()).items[0]
        assert session.message_count == 20


async def test_a_window_reads_the_last_messages_and_saves_all(url: str) -> None:
    store = MiniAgentConversationStore(url)
    await put(store, "c", *map(str, range(10)))
    window = await MiniAgentConversationStore(url).load("c", limit=3)
    assert window is not None
    assert contents(window) == ["7", "8", "9"]
    window.messages.append(ModelResponse([TextPart("10")]))
    await store.save(window)
    assert await texts_of(store, "c") == [str(n) for n in range(11)]
    assert await texts_of(store, "c", limit=0) == []


async def test_conflicts(url: str) -> None:
    store = MiniAgentConversationStore(url)
    await put(store, "c", "a")
    first, second = await store.load("c"), await MiniAgentConversationStore(url).load("c")
    assert first is not None
    assert second is not None
    first.messages += says("b")
    second.messages += says("B")
    await store.save(first)
    with pytest.raises(ConversationConflict):
        await store.save(second)
    with pytest.raises(ConversationConflict):
        await put(store, "c", "again")
    with pytest.raises(ConversationConflict):
        await store.save(first, scope="another")
    record = await store.read_record("c")
    assert record is not None
    await store.delete_record("c", expected_revision=record.revision)
    with pytest.raises(ConversationConflict):
        await store.delete_record("c", expected_revision=record.revision)
    with pytest.raises(ConversationConflict):
        await store.save(first)
    assert await store.read_record("c") is None
    head = ConversationRecord(conversation_id="n", head_id="nobody has this")
    with pytest.raises(ConversationConflict):
        await store.write_record(head, expected_revision=None)


async def test_of_many_that_create_and_save_at_once_one_wins(url: str) -> None:
    stores = [MiniAgentConversationStore(url) for _ in range(6)]
    made = await asyncio.gather(
        *(put(each, "c", str(n)) for n, each in enumerate(stores)), return_exceptions=True
    )
    assert sum(isinstance(each, Conversation) for each in made) == 1
    assert sum(isinstance(each, ConversationConflict) for each in made) == 5
    loaded = [await each.load("c") for each in stores]
    for number, each in enumerate(loaded):
        assert each is not None
        each.messages += says(f"more {number}")
    saved = await asyncio.gather(
        *(store.save(each) for store, each in zip(stores, loaded, strict=True) if each),
        return_exceptions=True,
    )
    assert sum(isinstance(each, ConversationConflict) for each in saved) == 5
    assert len(await texts_of(stores[0], "c") or []) == 2


async def test_branches_and_forks_share_what_they_have_in_common(url: str) -> None:
    store = MiniAgentConversationStore(url)
    conversation = await put(store, "c", "a", "b", "c", scope="ada")
    assert conversation.revision is not None
    branched = await store.branch("c", at=1, expected_revision=conversation.revision)
    branched.messages += says("B")
    await store.save(branched)
    assert await texts_of(store, "c") == ["a", "B"]
    record = await store.read_record("c")
    assert record is not None
    assert len(record.branches) == 1
    back = await store.branch("c", from_entry=record.branches[0], expected_revision=record.revision)
    assert contents(back) == ["a", "b", "c"]
    fork = await MiniAgentConversationStore(url).fork("c", at=2, new_conversation_id="f", scope="bob")
    fork.messages += says("F")
    await store.save(fork)
    back.messages += says("d")
    await store.save(back)
    assert await texts_of(store, "f") == ["a", "b", "F"]
    assert await texts_of(store, "f", limit=2) == ["b", "F"]
    assert await texts_of(store, "c") == ["a", "b", "c", "d"]
    deep = await store.fork("f", new_conversation_id="g")
    deep.messages += says("G")
    await store.save(deep)
    assert await texts_of(MiniAgentConversationStore(url), "g") == ["a", "b", "F", "G"]
    with pytest.raises(ConversationConflict):
        await store.fork("c", new_conversation_id="g")
    with pytest.raises(UserError):
        await store.fork("nobody")


async def test_deleting_keeps_what_others_reach_and_nothing_else(url: str) -> None:
    async with open_store(url) as near:
        store = MiniAgentConversationStore(near)
        await put(store, "c", "a", "b", "c")
        fork = await store.fork("c", at=2, new_conversation_id="f")
        fork.messages += says("F")
        await store.save(fork)
        entries = await store.load_entries("c")
        assert entries is not None
        await store.delete("c")
        assert await store.load("c") is None
        assert await texts_of(store, "f") == ["a", "b", "F"]
        other = MiniAgentConversationStore(near)
        assert (await other.read_entry(entries[1].id)).id == entries[1].id
        with pytest.raises(KeyError):
            await other.read_entry(entries[2].id)
        # A conversation of the same name is another one, with its fork as neighbour.
        await put(store, "c", "new")
        await store.delete("f")
        assert await texts_of(other, "c") == ["new"]
        with pytest.raises(KeyError):
            await other.read_entry(entries[0].id)
        await store.delete("c")
        assert [each.id for each in (await near.list()).items] == []


async def test_what_stands_below_a_fork_of_a_branch_goes_too(url: str) -> None:
    store = MiniAgentConversationStore(url)
    conversation = await put(store, "c", "a", "left")
    assert conversation.revision is not None
    left = (await store.load_entries("c") or [])[1]
    branched = await store.branch("c", at=1, expected_revision=conversation.revision)
    branched.messages += says("taken")
    await store.save(branched)
    await store.fork("c", new_conversation_id="f")
    await store.delete("c")
    assert await texts_of(store, "f") == ["a", "taken"]
    with pytest.raises(KeyError):
        await MiniAgentConversationStore(url).read_entry(left.id)


async def test_a_name_may_be_used_again_elsewhere(url: str) -> None:
    store, other = MiniAgentConversationStore(url), MiniAgentConversationStore(url)
    await put(store, "one", "1")
    await put(store, "two", "2")
    for turn in range(3):
        source = ("one", "two")[turn % 2]
        fork = await store.fork(source, new_conversation_id="preview")
        assert await texts_of(other, "preview") == [str(turn % 2 + 1)]
        fork.messages += says("x")
        await store.save(fork)
        assert await texts_of(other, "preview") == [str(turn % 2 + 1), "x"]
        await other.delete("preview")
        assert await texts_of(store, "preview") is None
    await put(store, "preview", "its own")
    assert await texts_of(other, "preview") == ["its own"]
    await store.delete("two")
    await store.delete("one")
    assert await texts_of(other, "preview") == ["its own"]
    await store.delete("preview")
    await put(store, "preview", "once more")
    assert await texts_of(other, "preview") == ["once more"]
    # And a conversation whose name has become a fork's.
    await put(store, "three", "3")
    await store.delete("preview")
    await store.fork("three", new_conversation_id="preview")
    assert await texts_of(other, "preview") == ["3"]


async def test_listing_by_scope(url: str) -> None:
    store = MiniAgentConversationStore(url)
    for number in range(5):
        await put(store, f"c{number}", "x", scope=("ada", "bob")[number % 2])
    await store.fork("c0", new_conversation_id="f", scope="bob")
    conversation = await store.load("c1")
    assert conversation is not None
    conversation.messages += says("y")
    await store.save(conversation)

    async def names(**options: object) -> list[str]:
        found = await store.list_conversations(**options)  # type: ignore[arg-type]
        return [each.conversation_id for each in found]

    assert await names() == ["c1", "f", "c4", "c3", "c2", "c0"]
    assert await names(scope="bob") == ["c1", "f", "c3"]
    assert await names(scope="ada", limit=2) == ["c4", "c2"]
    assert await names(limit=1) == ["c1"]
    assert await names(scope="nobody") == []
    assert await names(limit=0) == []
    old = ConversationRecord(
        conversation_id="old", head_id=None, updated_at=datetime.now(UTC) - timedelta(days=9)
    )
    await store.write_record(old, expected_revision=None)
    assert (await names())[-1] == "old"


async def test_a_family_of_many_scopes(url: str) -> None:
    store = MiniAgentConversationStore(url)
    await put(store, "c", "x", scope="s")
    for number in range(70):
        await store.fork("c", new_conversation_id=f"f{number}", scope=f"scope {number}" * 9)
    for scope in ("s", "scope 0" * 9, "scope 69" * 9):
        assert len(await store.list_conversations(scope=scope)) == 1
    assert len(await store.list_conversations()) == 71


async def test_forks_of_one_conversation_save_at_once(url: str) -> None:
    store = MiniAgentConversationStore(url)
    await put(store, "c", "x")
    forks = [await store.fork("c", new_conversation_id=f"f{number}") for number in range(5)]

    async def talk(fork: Conversation) -> None:
        mine = MiniAgentConversationStore(url)
        for turn in range(3):
            fork.messages += says(f"{fork.conversation_id} {turn}")
            await mine.save(fork)

    await asyncio.gather(*map(talk, forks))
    for fork in forks:
        name = fork.conversation_id
        assert await texts_of(store, name) == ["x", *(f"{name} {turn}" for turn in range(3))]


async def test_what_is_not_json_is_an_error_without_its_content(url: str) -> None:
    store = MiniAgentConversationStore(url)
    odd = ModelResponse([TextPart("fine", provider_details={"secret-word": object()})])
    with pytest.raises(EncodeError) as caught:
        await store.save(Conversation(conversation_id="c", messages=[odd]))
    assert "secret-word" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert await store.load("c") is None


async def test_a_copy_is_stored(url: str) -> None:
    store = MiniAgentConversationStore(url)
    record = ConversationRecord(conversation_id="c", head_id="e", scope="ada")
    entry = ConversationEntry(id="e", parent_id=None, message=says("x")[0])
    await store.write_record(record, new_entries=[entry], expected_revision=None)
    record.scope = "changed"
    entry.message.parts[0].content = "changed"  # type: ignore[union-attr]
    kept = await store.read_record("c")
    assert kept is not None
    assert kept.scope == "ada"
    kept.scope = "changed"
    assert (await store.read_record("c")).scope == "ada"  # type: ignore[union-attr]
    assert await texts_of(store, "c") == ["x"]
