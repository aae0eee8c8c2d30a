"""Promises of an entry's identity: a caller's id is stored once, as long as its entry stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miniagent_store.backend import Append, Backend, Truncate
from miniagent_store.errors import IdempotencyConflictError, InvalidArgumentError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    append,
    commit,
    entry,
    make,
    say,
    texts,
)
from miniagent_store.values import Message, Session


class MessageIdPromises(ConformanceBase):
    """Ids that callers give to entries."""

    async def test_an_entry_with_an_id_is_stored_once(self, store: SessionStore, session: Session) -> None:
        first = await store.append(session.id, Message.user("a", id="m1"))
        await say(store, session.id, "b")

        async with store.batch(session.id) as batch:
            batch.append(Message.user("a", id="m1"), Message.user("c"))

        assert batch.result is not None
        assert batch.result.sequences == (1, 3)
        assert await texts(store, session.id) == ["a", "b", "c"]
        assert (await store.entries(session.id))[0].version == first.version

    async def test_the_same_id_with_another_payload_is_a_conflict(
        self, store: SessionStore, session: Session
    ) -> None:
        before = await store.append(session.id, Message.user("a", id="m1"))

        with pytest.raises(IdempotencyConflictError):
            await store.append(session.id, Message.user("new"), Message.user("other", id="m1"))

        assert await store.get(session.id) == before

    async def test_a_conflict_tells_what_stands(self, backend: Backend) -> None:
        digest = bytes(range(200, 256))
        standing = replace(entry(b"a", caller_id="m1"), digest=digest)
        await make(backend, "s", b"first")
        await backend.commit(commit(backend, "s", 1, changes=(Append("messages", (standing,)),)))
        bare = replace(entry(b"b", caller_id="m2"), digest=None)
        await backend.commit(commit(backend, "s", 2, changes=(Append("events", (bare,)),)))

        for counter, log, name, stands in (
            (3, "messages", "m1", (2, digest)),
            (4, "events", "m2", (1, None)),
        ):
            changes = (*append(b"x", log=log), Append(log, (entry(b"other", caller_id=name),)))
            with pytest.raises(IdempotencyConflictError) as caught:
                await backend.commit(commit(backend, "s", counter, changes=changes))
            assert (caught.value.log, caught.value.entry_id) == (log, name)
            assert (caught.value.seq, caught.value.digest) == stands
            assert repr(digest)[2:-1] not in f"{caught.value} {caught.value!r}"

    async def test_a_conflict_within_one_commit_tells_that_nothing_stands(self, backend: Backend) -> None:
        await make(backend, "s", b"1", b"2")
        named = Append("messages", (entry(b"2", caller_id="m1"),))
        await backend.commit(commit(backend, "s", 1, changes=(named,)))
        again = Append("messages", (entry(b"a", caller_id="m1"), entry(b"b", caller_id="m1")))
        asked = commit(backend, "s", 2, changes=(Truncate("messages", 2), again))

        with pytest.raises(IdempotencyConflictError) as caught:
            await backend.commit(asked)

        assert (caught.value.seq, caught.value.digest) == (None, None)

    async def test_what_is_compared_are_the_fields_and_not_their_order(
        self, store: SessionStore, session: Session
    ) -> None:
        await store.append(session.id, {"id": "m1", "content": {"a": 1, "b": [2]}, "role": "user"})
        await store.append(session.id, {"role": "user", "content": {"b": [2], "a": 1}, "id": "m1"})

        assert await store.count(session.id) == 1

    async def test_two_equal_messages_without_ids_are_two(
        self, store: SessionStore, session: Session
    ) -> None:
        await store.append(session.id, Message.user("a"), Message.user("a"))

        assert await texts(store, session.id) == ["a", "a"]

    async def test_an_id_given_twice_in_one_call_is_stored_once(
        self, store: SessionStore, session: Session
    ) -> None:
        await store.append(session.id, Message.user("a", id="m1"), Message.user("a", id="m1"))

        assert await texts(store, session.id) == ["a"]

    async def test_each_log_has_ids_of_its_own(self, store: SessionStore, session: Session) -> None:
        await store.append(session.id, Message.user("a", id="m1"))
        await store.append(session.id, Message.user("b", id="m1"), log="events")

        assert await texts(store, session.id, "events") == ["b"]

    @pytest.mark.parametrize("change", ["pop", "rewind", "clear", "trim", "replace"])
    async def test_an_id_is_forgotten_with_its_entry(
        self, store: SessionStore, session: Session, change: str
    ) -> None:
        await store.append(session.id, Message.user("a", id="m1"))
        match change:
            case "pop":
                await store.pop(session.id)
            case "rewind":
                await store.rewind(session.id, to=0)
            case "clear":
                await store.clear(session.id)
            case "trim":
                await store.trim(session.id, before=2)
            case _:
                await store.replace(session.id, [])

        await store.append(session.id, Message.user("another", id="m1"))

        assert await texts(store, session.id) == ["another"]

    async def test_replace_may_write_the_same_id_again(self, store: SessionStore, session: Session) -> None:
        await store.append(session.id, Message.user("a", id="m1"), Message.user("b", id="m2"))

        await store.replace(session.id, [Message.user("shorter", id="m2")], from_seq=2)
        await store.append(session.id, Message.user("a", id="m1"))

        assert await texts(store, session.id) == ["a", "shorter"]
        with pytest.raises(IdempotencyConflictError):
            await store.append(session.id, Message.user("b", id="m2"))

    async def test_an_id_that_stays_is_still_known_when_others_go(
        self, store: SessionStore, session: Session
    ) -> None:
        await store.append(session.id, *[Message.user(n, id=f"m{n}") for n in range(1, 6)])
        await store.trim(session.id, before=3)
        await store.pop(session.id)

        await store.append(session.id, Message.user(3, id="m3"), Message.user(4, id="m4"))

        assert [each.seq for each in await store.entries(session.id)] == [3, 4]

    async def test_a_tombstone_keeps_its_id(self, store: SessionStore, session: Session) -> None:
        await store.append(session.id, Message.user("secret", id="m1"))
        await store.redact(session.id, 1, reason="asked to")

        await store.append(session.id, Message.user("secret", id="m1"))

        assert await texts(store, session.id) == [None]
        with pytest.raises(IdempotencyConflictError):
            await store.append(session.id, Message.user("other", id="m1"))

    async def test_an_id_may_be_data_only(self, store: SessionStore, session: Session) -> None:
        for _ in range(2):
            async with store.batch(session.id) as batch:
                batch.append({"id": "e1", "content": "a"}, log="events", dedupe=False)
        await store.append(session.id, {"id": 7, "content": "b"}, {"id": 7, "content": "b"}, log="events")

        assert await texts(store, session.id, "events") == ["a", "a", "b", "b"]

    async def test_an_id_is_printable_text(self, store: SessionStore, session: Session) -> None:
        await store.append(session.id, Message.user("a", id="{any} printable: 日本 *?[x]"))

        for bad in ("", "line\nbreak", "x" * 513):
            with pytest.raises(InvalidArgumentError):
                await store.append(session.id, Message.user("b", id=bad))

        assert await texts(store, session.id) == ["a"]
