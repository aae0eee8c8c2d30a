"""Promises of usage: what is counted, when, and how often."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.store.store import Store
from miniagent_store.testing.conformance.base import ConformanceBase, OpenHere, backend_of, eventually
from miniagent_store.usage_report import Usage
from miniagent_store.values import Message, from_ms


def move_day(store: SessionStore, monkeypatch: pytest.MonkeyPatch, days: int) -> date:
    """Have it be so many days later for what counts; the day."""
    assert isinstance(store, Store)
    later = today(store) + timedelta(days=days)
    monkeypatch.setattr(store._core.usage, "today", later.isoformat)
    return later


def today(store: SessionStore) -> date:
    """The day by the backend's clock."""
    return from_ms(backend_of(store).now_ms()).date()


def answer(tokens: Any) -> Message:
    return Message.assistant("hi", metadata={"usage": tokens})


class UsagePromises(ConformanceBase):
    """``analytics=true`` and `store.usage`."""

    async def test_nothing_is_counted_unless_asked_for(self, open_here: OpenHere) -> None:
        store = await open_here(analytics=False)
        session = await store.create(user_id="ada")
        await store.append(session.id, Message.user("hello"))

        assert (await store.usage()).rows == ()
        assert (await store.list(kind="usage")).items == []

    async def test_messages_turns_and_tokens_are_counted(self, open_here: OpenHere) -> None:
        store = await open_here(analytics=True)
        session = await store.create(user_id="ada", agent="helper")
        await store.append(
            session.id, Message.user("hello"), answer({"prompt_tokens": 5, "completion_tokens": 2})
        )
        async with store.turn(session.id) as turn:
            turn.append(Message.user("again"))
            turn.append(answer({"input_tokens": 10, "output_tokens": 4, "total_tokens": 20}))
        await store.append(session.id, {"role": "tool", "content": "x", "tokens": 7})
        await store.append(session.id, {"what": "no message"}, log="events")
        report = await store.usage()

        (row,) = report.rows
        assert (row.day, row.user_id, row.agent) == (today(store), "ada", "helper")
        assert row.usage == report.total == Usage(5, 2, 15, 6, 34)
        assert report.to_dict()["total"] == {
            "messages": 5,
            "turns": 2,
            "input_tokens": 15,
            "output_tokens": 6,
            "tokens": 34,
        }
        assert "ada" in str(report)

    async def test_users_are_counted_apart(self, open_here: OpenHere) -> None:
        store = await open_here(analytics=True)
        for user, count in (("ada", 3), ("a/da", 2), (None, 1)):
            session = await store.create(user_id=user)
            for _ in range(count):
                await store.append(session.id, Message.user("hello"))

        by_user = (await store.usage()).by_user
        assert {user: usage.messages for user, usage in by_user.items()} == {"ada": 3, "a/da": 2, None: 1}
        assert (await store.usage("a/da")).total.messages == 2
        assert (await store.usage("")).total.messages == 1
        assert (await store.usage("nobody")).rows == ()

    async def test_other_kinds_and_rewritten_messages_are_not_counted(self, open_here: OpenHere) -> None:
        store = await open_here(analytics=True)
        session = await store.create(user_id="ada")
        await store.append(session.id, Message.user("hello"))
        await store.replace(session.id, [Message.user("hallo"), Message.user("again")])
        await store.fork(session.id)
        await store.user("ada").set("colour", "blue")
        other = await store.create(user_id="ada", kind="notes")
        await store.append(other.id, Message.user("a note"))

        assert (await store.usage()).total == Usage(messages=1, turns=1)

    async def test_days_are_counted_apart_by_the_store_s_clock(
        self, open_here: OpenHere, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = await open_here(analytics=True)
        session = await store.create(user_id="ada")
        first = today(store)
        await store.append(session.id, Message.user("hello"))
        with monkeypatch.context() as later:
            tomorrow = move_day(store, later, 1)
            await store.append(session.id, Message.user("hello"), Message.user("hello"))
        report = await store.usage("ada")

        assert {day: usage.messages for day, usage in report.by_day.items()} == {first: 1, tomorrow: 2}
        assert (await store.usage(since=tomorrow)).total.messages == 2
        assert (await store.usage(until=first.isoformat())).total.messages == 1
        assert (await store.usage(since=first, until=tomorrow)).total.messages == 3

    async def test_old_days_go_when_the_user_comes_on_a_new_day(
        self, open_here: OpenHere, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = await open_here(analytics=True)
        session = await store.create(user_id="ada")
        await store.append(session.id, Message.user("hello"))
        await store.usage()
        with monkeypatch.context() as later:
            move_day(store, later, 399)
            await store.append(session.id, Message.user("hello"))
            assert len(await store.usage()) == 2
        with monkeypatch.context() as later:
            move_day(store, later, 400)
            await store.append(session.id, Message.user("hello"))
            assert len(await store.usage()) == 2

    async def test_a_repeated_commit_is_counted_once(self, open_here: OpenHere) -> None:
        store = await open_here(analytics=True)
        session = await store.create(user_id="ada")
        commit_id = store.new_commit_id()
        for _ in range(3):
            await store.append(session.id, Message.user("hello"), commit_id=commit_id)

        assert await store.count(session.id) == 1
        assert (await store.usage()).total == Usage(messages=1, turns=1)

    async def test_a_commit_repeated_by_another_store_is_counted_once(
        self, open_here: OpenHere, other: SessionStore
    ) -> None:
        first, second = await open_here(analytics=True), await open_here(analytics=True)
        session = await first.create(user_id="ada")
        commit_id = first.new_commit_id()
        await first.append(session.id, Message.user("hello"), commit_id=commit_id)
        await second.append(session.id, Message.user("hello"), commit_id=commit_id)
        await first.usage()

        assert (await second.usage()).total == Usage(messages=1, turns=1)

    async def test_a_message_given_twice_is_counted_once(self, open_here: OpenHere) -> None:
        store = await open_here(analytics=True)
        session = await store.create(user_id="ada")
        message = Message.user("hello", id="m1")
        await store.append(session.id, message)
        await store.append(session.id, message)
        await store.append(session.id, Message.user("more", id="m2"), message)

        assert await store.count(session.id) == 2
        assert (await store.usage()).total == Usage(messages=2, turns=2)

    async def test_what_was_gathered_is_written_on_close(
        self, open_here: OpenHere, other: SessionStore
    ) -> None:
        store = await open_here(analytics=True)
        session = await store.create(user_id="ada")
        await asyncio.gather(*(store.append(session.id, Message.user("hello")) for _ in range(20)))
        await store.close()

        assert (await other.usage()).total == Usage(messages=20, turns=20)

    async def test_what_was_gathered_is_written_soon(
        self, open_here: OpenHere, other: SessionStore
    ) -> None:
        store = await open_here(analytics=True)
        session = await store.create(user_id="ada")
        await store.append(session.id, Message.user("hello"))

        async def is_written() -> bool:
            return (await other.usage()).total.messages == 1

        await eventually(is_written)

    async def test_numbers_that_are_none_are_passed_over(self, open_here: OpenHere) -> None:
        store = await open_here(analytics=True)
        session = await store.create()
        for tokens in ("many", -1, True, 1.5, None, 10**30, {"input_tokens": "x", "output_tokens": -3}):
            await store.append(session.id, Message.user("hello", metadata={"usage": tokens}))
            await store.append(session.id, Message.user("hello", tokens=tokens))

        assert (await store.usage()).total == Usage(messages=14, turns=14)

    async def test_a_day_that_is_none_is_refused(self, open_here: OpenHere) -> None:
        store = await open_here(analytics=True)

        with pytest.raises(InvalidArgumentError, match="since"):
            await store.usage(since="yesterday")
