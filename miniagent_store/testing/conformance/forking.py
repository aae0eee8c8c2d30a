"""Promises of forks: whole or not at all, and independent afterwards."""

from __future__ import annotations

import asyncio

import pytest

from miniagent_store.errors import (
    IdempotencyConflictError,
    InvalidArgumentError,
    SessionExistsError,
    SessionNotFoundError,
    SessionTooLargeError,
)
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import ConformanceBase, OpenHere, contents, say, texts
from miniagent_store.values import Message, Session


class ForkPromises(ConformanceBase):
    """`store.fork`."""

    async def test_a_fork_has_all_that_the_session_had(self, store: SessionStore) -> None:
        await store.create(
            "s", user_id="ada", agent="helper", metadata={"m": 1}, tags=["t"], ttl="1h", kind="thread"
        )
        await say(store, "s", "a", "b")
        await say(store, "s", "e", log="events")
        await store.state("s").set("name", {"x": 1})
        await store.state("s").set("short", 1, ttl="2h")
        await store.state("s").add("n", 7)
        source = await store.get("s")

        fork = await store.fork("s", new_id="f")

        assert fork == await store.get("f")
        assert fork.incarnation != source.incarnation
        for each in ("kind", "user_id", "agent", "metadata", "tags", "ttl", "message_count", "size"):
            assert getattr(fork, each) == getattr(source, each), each
        assert await texts(store, "f") == ["a", "b"]
        assert await texts(store, "f", "events") == ["e"]
        assert (await store.snapshot("f", state=True)).state == {"name": {"x": 1}, "short": 1, "n": 7}
        short = await store.state("f").item("short")
        assert short is not None
        assert short.expires_at is not None
        assert await store.state("f").add("n") == 8
        assert await store.get("s") == source

    async def test_entries_of_a_fork_are_what_they_were(
        self, store: SessionStore, session: Session
    ) -> None:
        await store.append(session.id, Message.user("a", id="m1"), Message.user("b"), Message.user("c"))
        await store.redact(session.id, 2, reason="x")
        await store.trim(session.id, before=2)

        fork = await store.fork(session.id)

        assert await store.entries(fork.id) == await store.entries(session.id)
        await say(store, fork.id, "d")
        assert [each.seq for each in await store.entries(fork.id)] == [2, 3, 4]

    async def test_ids_of_entries_are_known_in_a_fork(self, store: SessionStore, session: Session) -> None:
        await store.append(session.id, Message.user("a", id="m1"))

        fork = await store.fork(session.id)

        await store.append(fork.id, Message.user("a", id="m1"))
        with pytest.raises(IdempotencyConflictError):
            await store.append(fork.id, Message.user("other", id="m1"))
        assert await texts(store, fork.id) == ["a"]

    async def test_a_fork_up_to_a_message_cuts_other_logs_there(
        self, store: SessionStore, session: Session
    ) -> None:
        for n in (1, 2, 3):
            async with store.batch(session.id) as batch:
                batch.append(Message.user(f"m{n}"))
                batch.append({"content": f"e{n}"}, log="events")
                batch.state.set("latest", n)

        fork = await store.fork(session.id, upto=2)
        nothing = await store.fork(session.id, upto=0)

        assert await texts(store, fork.id) == ["m1", "m2"]
        assert await texts(store, fork.id, "events") == ["e1", "e2"]
        assert await store.state(fork.id).get("latest") == 3
        assert await texts(store, nothing.id) == await texts(store, nothing.id, "events") == []
        with pytest.raises(InvalidArgumentError):
            await store.fork(session.id, upto=4)

    async def test_a_fork_and_its_source_go_their_own_ways(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "a")
        fork = await store.fork(session.id)

        await say(store, session.id, "source")
        await say(store, fork.id, "fork")
        await store.state(fork.id).set("name", 1)
        await store.delete(session.id)

        assert await texts(store, fork.id) == ["a", "fork"]

    async def test_a_fork_takes_no_id_that_is_taken(self, store: SessionStore, session: Session) -> None:
        taken = await store.create("taken")

        with pytest.raises(SessionExistsError):
            await store.fork(session.id, new_id="taken")
        with pytest.raises(InvalidArgumentError):
            await store.fork(session.id, new_id=session.id)

        assert await store.get("taken") == taken

    async def test_a_fork_of_what_is_not_there_leaves_nothing(self, store: SessionStore) -> None:
        with pytest.raises(SessionNotFoundError):
            await store.fork("missing", new_id="f")

        with pytest.raises(SessionNotFoundError):
            await store.get("f")

    async def test_a_long_session_is_copied_whole(self, store: SessionStore, session: Session) -> None:
        await store.append(session.id, *[Message.user(n) for n in range(1203)])

        fork = await store.fork(session.id)

        assert await texts(store, fork.id) == list(range(1203))

    async def test_a_fork_while_others_append_is_a_prefix(
        self, store: SessionStore, session: Session
    ) -> None:
        await store.append(session.id, *[Message.user(n) for n in range(600)])

        async def write() -> None:
            for number in range(600, 620):
                await store.append(session.id, Message.user(number))

        writing = asyncio.create_task(write())
        fork = await store.fork(session.id)
        await writing

        copied = contents(await store.history(fork.id))
        assert copied == list(range(len(copied)))
        assert 600 <= len(copied) <= 620

    async def test_a_fork_is_listed_and_forked_again(self, store: SessionStore) -> None:
        await store.create("s", user_id="ada", tags=["t"])
        await say(store, "s", "a")

        await store.fork("s", new_id="f")
        await store.fork("f", new_id="g")

        assert {each.id for each in await store.list(user_id="ada", tags=["t"])} == {"s", "f", "g"}
        assert await texts(store, "g") == ["a"]

    async def test_a_fork_keeps_to_the_size_limit(self, store: SessionStore, open_here: OpenHere) -> None:
        small = await open_here(max_session_size=1000)
        await small.create("s")
        await small.state("s").set("x", "x" * 800)

        await small.fork("s", new_id="f")

        with pytest.raises(SessionTooLargeError):
            await small.append("f", Message.user("y" * 800))
