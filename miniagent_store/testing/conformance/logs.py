"""Promises of logs: appending, and reading what was appended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from miniagent_store.errors import SessionNotFoundError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import ConformanceBase, OpenHere, contents, say, texts
from miniagent_store.values import Message, Session

ODD_MESSAGES: list[dict[str, Any]] = [
    {},
    {"role": "user", "content": None},
    {"content": [{"type": "text", "text": "Grüße 🙂\u2028"}, {"type": "image", "url": "https://x"}]},
    {"role": "tool", "tool_call_id": "c1", "content": "", "unknown": {"survives": [True, False, None]}},
    {"n": [0, -1, 2**63 - 1, -(2**63), 2**64 - 1, 10**30, 1.5, -0.0, 1e300]},
    {"when": datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC), "raw": b"\x00\xff\x7f"},
    {"a text of NULs": "\x00\x00", "": "an empty key"},
]


class LogPromises(ConformanceBase):
    """Appending to logs, and reading them in order."""

    async def test_messages_come_back_in_order(self, store: SessionStore, session: Session) -> None:
        after = await store.append(session.id, Message.user("one"), Message.assistant("two"))
        await store.append(session.id, {"role": "user", "content": "three"})

        assert contents(await store.history(session.id)) == ["one", "two", "three"]
        assert after.message_count == 2
        assert after.version == session.version + 1

    @pytest.mark.parametrize("message", ODD_MESSAGES, ids=range(len(ODD_MESSAGES)))
    async def test_any_mapping_comes_back_as_it_was(
        self, store: SessionStore, session: Session, message: dict[str, object]
    ) -> None:
        await store.append(session.id, message)

        [stored] = await store.history(session.id)

        assert stored.to_dict() == message
        assert [type(each) for each in stored.to_dict().values()] == [type(v) for v in message.values()]

    async def test_a_big_message_comes_back(self, store: SessionStore, session: Session) -> None:
        text = "0123456789" * 100_000

        await store.append(session.id, Message.user(text))

        assert contents(await store.history(session.id)) == [text]

    async def test_appending_nothing_does_nothing(self, store: SessionStore, session: Session) -> None:
        assert await store.append(session.id) == session
        assert await store.get(session.id) == session

    async def test_the_first_entry_is_one_and_there_are_no_holes(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "a")
        await store.append(session.id, Message.user("b"), Message.user("c"))
        await say(store, session.id, "d")

        assert [each.seq for each in await store.entries(session.id)] == [1, 2, 3, 4]

    async def test_an_entry_knows_the_version_of_its_commit(
        self, store: SessionStore, session: Session
    ) -> None:
        first = await store.append(session.id, Message.user("a"), Message.user("b"))
        second = await say(store, session.id, "c")

        versions = [each.version for each in await store.entries(session.id)]

        assert versions == [first.version, first.version, second.version]

    async def test_each_entry_has_an_id_of_its_own(self, store: SessionStore, session: Session) -> None:
        await store.append(session.id, *[Message.user("same") for _ in range(10)])

        assert len({each.id for each in await store.entries(session.id)}) == 10

    async def test_an_entry_has_the_callers_time_or_the_stores(
        self, store: SessionStore, session: Session
    ) -> None:
        given = datetime(2001, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)
        before = await store.get(session.id)

        await store.append(session.id, Message.user("then", time=given), Message.user("now"))

        then, now = await store.entries(session.id)
        assert then.time == given
        assert now.time >= before.created_at
        assert now.message.time == now.time

    async def test_logs_are_apart(self, store: SessionStore, session: Session) -> None:
        await say(store, session.id, "m1", "m2")
        await say(store, session.id, "e1", log="events")
        after = await say(store, session.id, "x1", log="my own/log: ü")

        assert await texts(store, session.id) == ["m1", "m2"]
        assert await texts(store, session.id, "events") == ["e1"]
        assert await texts(store, session.id, "my own/log: ü") == ["x1"]
        assert await texts(store, session.id, "never written") == []
        assert after.message_count == 2
        assert [after.position.seq(log) for log in ("messages", "events", "none")] == [2, 1, 0]

    async def test_appending_to_a_missing_session_makes_none(self, store: SessionStore) -> None:
        with pytest.raises(SessionNotFoundError):
            await store.append("missing", Message.user("hi"))

        with pytest.raises(SessionNotFoundError):
            await store.get("missing")

    async def test_create_makes_a_missing_session_with_the_stores_defaults(
        self, open_here: OpenHere
    ) -> None:
        store = await open_here(ttl="1h")

        made = await store.append("s", Message.user("hi"), create=True)
        after = await store.append("s", Message.user("again"), create=True)

        assert (made.version, made.ttl, made.kind, made.message_count) == (1, 3600, "session", 1)
        assert (after.incarnation, after.version) == (made.incarnation, 2)

    async def test_a_thousand_messages_in_one_commit(self, store: SessionStore, session: Session) -> None:
        after = await store.append(session.id, *[Message.user(str(n)) for n in range(1000)])

        assert (after.version, after.message_count) == (session.version + 1, 1000)
        assert contents(await store.history(session.id)) == [str(n) for n in range(1000)]

    async def test_replay_goes_on_beyond_a_page(self, store: SessionStore, session: Session) -> None:
        await store.append(session.id, *[Message.user(str(n)) for n in range(1, 1203)])

        replayed = [message.content async for message in store.replay(session.id)]
        rest = [message.content async for message in store.replay(session.id, after=1200)]

        assert replayed == [str(n) for n in range(1, 1203)]
        assert rest == ["1201", "1202"]

    async def test_a_batch_appends_to_many_logs_in_one_commit(
        self, store: SessionStore, session: Session
    ) -> None:
        async with store.batch(session.id) as batch:
            batch.append(Message.user("a"))
            batch.append({"content": "e"}, log="events")
            batch.append(Message.user("b"), Message.user("c"))

        assert batch.result is not None
        assert batch.result.sequences == (1, 1, 2, 3)
        assert batch.result.session.version == session.version + 1
        assert await texts(store, session.id) == ["a", "b", "c"]
        assert await texts(store, session.id, "events") == ["e"]

    async def test_a_batch_with_an_exception_stores_nothing(
        self, store: SessionStore, session: Session
    ) -> None:
        batch = store.batch(session.id)

        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what is tested
            async with batch:
                batch.append(Message.user("lost"))
                raise ZeroDivisionError

        assert batch.result is None
        assert await store.get(session.id) == session

    async def test_an_empty_batch_commits_nothing(self, store: SessionStore, session: Session) -> None:
        async with store.batch(session.id):
            pass

        assert await store.get(session.id) == session
