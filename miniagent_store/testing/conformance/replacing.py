"""Promises of `replace`: a log written anew from a sequence on."""

from __future__ import annotations

import pytest

from miniagent_store.errors import InvalidArgumentError, VersionConflictError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import ConformanceBase, say, texts
from miniagent_store.values import Message, Session


class ReplacePromises(ConformanceBase):
    """`store.replace`."""

    async def test_replace_writes_a_log_anew_from_a_sequence(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "a", "b", "c")

        after = await store.replace(session.id, [Message.user("x"), Message.user("y")], from_seq=2)

        assert await texts(store, session.id) == ["a", "x", "y"]
        assert [each.seq for each in await store.entries(session.id)] == [1, 2, 3]
        assert after.message_count == 3

    async def test_replacing_with_nothing_empties(self, store: SessionStore, session: Session) -> None:
        await say(store, session.id, "a", "b")

        await store.replace(session.id, [])

        assert await texts(store, session.id) == []

    async def test_replace_leaves_no_hole(self, store: SessionStore, session: Session) -> None:
        before = await say(store, session.id, "a")

        with pytest.raises(InvalidArgumentError):
            await store.replace(session.id, [Message.user("x")], from_seq=3)

        assert await store.get(session.id) == before

    async def test_replacing_from_just_behind_the_end_is_an_append(
        self, store: SessionStore, session: Session
    ) -> None:
        before = await say(store, session.id, "a")

        after = await store.replace(session.id, [Message.user("b")], from_seq=2)

        assert await texts(store, session.id) == ["a", "b"]
        assert after.epoch == before.epoch

    async def test_what_was_trimmed_does_not_come_back(self, store: SessionStore, session: Session) -> None:
        await say(store, session.id, "a", "b", "c")
        await store.trim(session.id, before=3)

        await store.replace(session.id, [Message.user("x"), Message.user("y")])
        assert [each.seq for each in await store.entries(session.id)] == [3, 4]

        await store.rewind(session.id, to=0)
        await say(store, session.id, "z")
        assert [each.seq for each in await store.entries(session.id)] == [3]

    async def test_replace_goes_through_at_the_expected_tail(
        self, store: SessionStore, session: Session
    ) -> None:
        here = (await say(store, session.id, "a", "b")).position
        # Neither state nor another log is the tail.
        await store.state(session.id).set("name", 1)
        await say(store, session.id, "e", log="events")

        await store.replace(session.id, [Message.user("summary")], expected_tail=here)

        assert await texts(store, session.id) == ["summary"]

    @pytest.mark.parametrize("meanwhile", ["append", "redact", "other log", "recreate"])
    async def test_replace_is_a_conflict_if_something_happened_since(
        self, store: SessionStore, meanwhile: str
    ) -> None:
        await store.create("s")
        await say(store, "s", "e", log="events")
        here = (await say(store, "s", "a", "b")).position
        match meanwhile:
            case "append":
                await say(store, "s", "c")
            case "redact":
                await store.redact("s", 1, reason="x")
            case "other log":
                await store.pop("s", log="events")
            case _:
                await store.delete("s")
                await store.create("s")
                await say(store, "s", "a", "b")
        before = await store.get("s")

        with pytest.raises(VersionConflictError):
            await store.replace("s", [Message.user("summary")], expected_tail=here)

        assert await store.get("s") == before
