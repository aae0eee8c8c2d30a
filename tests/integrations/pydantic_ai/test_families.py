"""A name that is taken elsewhere while it is being made: step by step, where two of them could be made."""

from __future__ import annotations

import pytest

pytest.importorskip("pydantic_ai.conversation_store")

from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import ModelRequest

from miniagent_store import SessionStore, open_store
from miniagent_store.errors import VersionConflictError
from miniagent_store.integrations.pydantic_ai import MiniAgentConversationStore, families
from miniagent_store.integrations.pydantic_ai.families import Family, make_room, record_name, session_id_of


async def put(store: MiniAgentConversationStore, *names: str) -> None:
    for name in names:
        messages = [ModelRequest.user_text_prompt(name)]
        await store.save(Conversation(conversation_id=name, messages=[*messages]))


async def make_in(near: SessionStore, room: Family) -> None:
    """What a slow writer does at last, with a room that it found before."""
    expected = room.session or 0
    batch = near.batch(room.session_id, create=room.session is None, expected_version=expected)
    batch.state.set(record_name("b"), {"revision": "slow"})
    await batch.commit()


async def test_a_room_of_its_own_name(url: str) -> None:
    async with open_store(url) as near:
        store = MiniAgentConversationStore(near)
        await put(store, "one")
        room = await make_room(near, "b", None)
        assert room is not None
        await store.fork("one", new_conversation_id="b")
        with pytest.raises(VersionConflictError):
            await make_in(near, room)
        assert await make_room(near, "b", None) is None


@pytest.mark.parametrize("gone", [False, True])
async def test_a_room_beside_another(url: str, gone: bool) -> None:
    async with open_store(url) as near:
        store = MiniAgentConversationStore(near)
        await put(store, "one", "two")
        await store.fork("one", new_conversation_id="b")
        await store.delete("b")
        if gone:
            await store.delete("one")
        # In the session in which it was, or a new one where that is gone.
        room = await make_room(near, "b", None)
        assert room is not None
        assert (room.session_id == session_id_of("one")) is not gone
        await store.fork("two", new_conversation_id="b")
        with pytest.raises(VersionConflictError):
            await make_in(near, room)
        record = await store.read_record("b")
        assert record is not None
        assert record.forked_from == "two"


async def test_taken_between_the_reads(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_store(url) as near:
        store, faster = MiniAgentConversationStore(near), MiniAgentConversationStore(near)
        await put(store, "one", "two")
        await store.fork("one", new_conversation_id="b")
        await store.delete("b")
        read_family, reads = families.read_family, list[str]()

        async def slowly(near: SessionStore, session_id: str, *names: str, **options: bool) -> Family:
            if session_id == session_id_of("one"):
                reads.append(session_id)
                if len(reads) == 1:
                    # The name was read; before the session in which it may be made is.
                    monkeypatch.setattr(families, "read_family", read_family)
                    await faster.fork("two", new_conversation_id="b")
                    monkeypatch.setattr(families, "read_family", slowly)
            return await read_family(near, session_id, *names, **options)

        monkeypatch.setattr(families, "read_family", slowly)
        assert await make_room(near, "b", session_id_of("one")) is None
        assert reads
