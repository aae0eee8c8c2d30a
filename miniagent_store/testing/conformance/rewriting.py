"""Promises of every change of a log that is no append: pop, replace, redact, trim, clear, rewind."""

from __future__ import annotations

import asyncio

import pytest

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import ConformanceBase, contents, say, texts
from miniagent_store.values import Message, Session


class RewritingPromises(ConformanceBase):
    """What is no append is one commit and a new epoch, and leaves state, metadata and TTL alone."""

    @pytest.mark.parametrize("change", ["pop", "replace", "redact", "trim", "clear", "rewind"])
    async def test_what_is_no_append_is_one_commit_and_one_epoch(
        self, store: SessionStore, change: str
    ) -> None:
        await store.create("s", ttl="1h", metadata={"kept": 1}, tags=["kept"])
        await store.state("s").set("kept", 1)
        before = await say(store, "s", "a", "b", "c")

        match change:
            case "pop":
                await store.pop("s")
            case "replace":
                await store.replace("s", [Message.user("x")])
            case "redact":
                await store.redact("s", 2, reason="asked to")
            case "trim":
                await store.trim("s", before=2)
            case "clear":
                await store.clear("s")
            case _:
                await store.rewind("s", to=1)

        after = await store.get("s")
        assert (before.epoch, after.epoch, after.version) == (0, 1, before.version + 1)
        assert (after.metadata, after.tags, after.ttl) == ({"kept": 1}, ("kept",), 3600)
        assert await store.state("s").get("kept") == 1

    async def test_appending_keeps_the_epoch(self, store: SessionStore, session: Session) -> None:
        after = await say(store, session.id, "a", "b")

        assert after.epoch == session.epoch

    async def test_many_changes_in_one_batch_are_one_epoch(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "a", "b", "c")

        async with store.batch(session.id) as batch:
            batch.trim(before=2)
            batch.redact(3, reason="asked to")
            batch.append(Message.user("d"))

        after = await store.get(session.id)
        assert after.epoch == 1
        assert [each.seq for each in await store.entries(session.id)] == [2, 3, 4]

    # pop

    async def test_pop_returns_what_it_took_in_order(self, store: SessionStore, session: Session) -> None:
        await say(store, session.id, "a", "b", "c")

        assert contents(await store.pop(session.id, 2)) == ["b", "c"]
        assert contents(await store.pop(session.id)) == ["a"]
        assert await store.count(session.id) == 0

    async def test_pop_takes_no_more_than_there_is(self, store: SessionStore, session: Session) -> None:
        await say(store, session.id, "a", "b")

        assert contents(await store.pop(session.id, 99)) == ["a", "b"]

    async def test_popping_nothing_does_nothing(self, store: SessionStore, session: Session) -> None:
        before = await say(store, session.id, "a")

        assert await store.pop(session.id, 0) == []
        assert await store.pop(session.id, log="events") == []
        assert await store.get(session.id) == before

    async def test_after_pop_sequences_go_on_from_what_is_left(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "a", "b", "c")
        await store.pop(session.id, 2)

        await say(store, session.id, "d")

        assert [(each.seq, each.value["content"]) for each in await store.entries(session.id)] == [
            (1, "a"),
            (2, "d"),
        ]

    async def test_pop_takes_from_the_log_it_was_told(self, store: SessionStore, session: Session) -> None:
        await say(store, session.id, "m")
        await say(store, session.id, "e", log="events")

        assert contents(await store.pop(session.id, 5, log="events")) == ["e"]
        assert await texts(store, session.id) == ["m"]

    async def test_what_is_popped_at_once_is_popped_once(
        self, store: SessionStore, session: Session
    ) -> None:
        await store.append(session.id, *[Message.user(n) for n in range(8)])

        popped = await asyncio.gather(*[store.pop(session.id) for _ in range(8)])

        assert sorted(contents(message for some in popped for message in some)) == list(range(8))
        assert await store.count(session.id) == 0

    # redact

    async def test_redact_leaves_a_tombstone(self, store: SessionStore, session: Session) -> None:
        await say(store, session.id, "a", "a very long secret " * 50, "c")
        before, size = (await store.entries(session.id))[1], (await store.get(session.id)).size

        after = await store.redact(session.id, 2, reason="asked to")

        stone = (await store.entries(session.id))[1]
        assert stone.redacted
        assert stone.value["metadata"]["reason"] == "asked to"
        assert "redacted_at" in stone.value["metadata"]
        assert "secret" not in str(stone.value)
        assert (stone.seq, stone.id, stone.time, stone.version) == (
            2,
            before.id,
            before.time,
            before.version,
        )
        assert after.message_count == 3
        assert after.size < size
        assert [each.redacted for each in await store.entries(session.id)] == [False, True, False]

    async def test_what_is_not_there_cannot_be_redacted(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "a", "b")
        before = await store.trim(session.id, before=2)

        for seq in (1, 3):
            with pytest.raises(InvalidArgumentError):
                await store.redact(session.id, seq, reason="x")

        assert await store.get(session.id) == before

    # trim and clear

    async def test_trim_removes_what_is_below_and_keeps_sequences(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "a", "b", "c")

        after = await store.trim(session.id, before=3)
        await say(store, session.id, "d")

        assert after.message_count == 1
        assert [each.seq for each in await store.entries(session.id)] == [3, 4]

    async def test_trim_removes_everything_at_most(self, store: SessionStore, session: Session) -> None:
        await say(store, session.id, "a", "b")

        await store.trim(session.id, before=1000)
        await say(store, session.id, "c")

        assert [each.seq for each in await store.entries(session.id)] == [3]

    async def test_trimming_nothing_is_no_new_epoch(self, store: SessionStore, session: Session) -> None:
        await say(store, session.id, "a", "b")

        for before in (0, 1):
            assert (await store.trim(session.id, before=before)).epoch == 0
        assert (await store.clear(session.id)).epoch == 1
        assert (await store.clear(session.id)).epoch == 1

    async def test_clear_empties_all_logs_and_sequences_go_on(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "a", "b")
        await say(store, session.id, "e", log="events")

        cleared = await store.clear(session.id)
        await say(store, session.id, "c")
        await say(store, session.id, "f", log="events")

        assert cleared.message_count == 0
        assert [each.seq for each in await store.entries(session.id)] == [3]
        assert [each.seq for each in await store.entries(session.id, log="events")] == [2]

    # rewind

    async def test_rewind_cuts_other_logs_at_the_same_commit(
        self, store: SessionStore, session: Session
    ) -> None:
        for n in (1, 2, 3):
            async with store.batch(session.id) as batch:
                batch.append(Message.user(f"m{n}"))
                batch.append({"content": f"e{n}"}, log="events")
        await say(store, session.id, "e4", log="events")
        await store.state(session.id).set("kept", 1)

        after = await store.rewind(session.id, to=2)

        assert await texts(store, session.id) == ["m1", "m2"]
        assert await texts(store, session.id, "events") == ["e1", "e2"]
        assert after.message_count == 2
        assert await store.state(session.id).get("kept") == 1

    async def test_after_rewind_sequences_go_on_from_what_is_left(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "a", "b", "c")
        await store.rewind(session.id, to=1)

        await say(store, session.id, "d")

        assert [each.seq for each in await store.entries(session.id)] == [1, 2]

    async def test_rewind_to_zero_is_before_the_first(self, store: SessionStore, session: Session) -> None:
        await say(store, session.id, "a", "b")
        await say(store, session.id, "e", log="events")

        await store.rewind(session.id, to=0)

        assert await texts(store, session.id) == await texts(store, session.id, "events") == []

    async def test_rewinding_to_the_last_message_drops_what_came_after_it_elsewhere(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "a")
        await say(store, session.id, "e", log="events")

        await store.rewind(session.id, to=1)

        assert await texts(store, session.id) == ["a"]
        assert await texts(store, session.id, "events") == []

    async def test_there_is_no_rewinding_to_what_is_not_there(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "a", "b", "c")
        before = await store.trim(session.id, before=3)

        for to in (1, 2, 4):
            with pytest.raises(InvalidArgumentError):
                await store.rewind(session.id, to=to)

        assert await store.get(session.id) == before
