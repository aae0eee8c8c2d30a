"""Promises of watching: entries once and in order, resets, and which sessions changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

import pytest

from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    contents,
    say,
    soon,
    take,
    texts,
)
from miniagent_store.values import Message, Position, Session, SessionEvent


def watching(stream: AsyncIterator[SessionEvent]) -> aclosing[AsyncGenerator[SessionEvent, None]]:
    """Close a watch at the end of the ``async with``."""
    return aclosing(cast("AsyncGenerator[SessionEvent, None]", stream))


async def watched(store: SessionStore, session_id: str, after: Position, count: int) -> list[SessionEvent]:
    """The first so many events after a position."""
    async with watching(store.watch(session_id, after=after)) as events:
        return await take(events, count)


def told(events: list[SessionEvent]) -> list[object]:
    """Events in short."""
    return [
        (event.type, event.log, contents(entry.value for entry in event.entries))
        if event.type == "appended"
        else (event.type, event.log, event.from_seq)
        if event.type == "reset"
        else event.type
        for event in events
    ]


def apply(event: SessionEvent, copy: dict[str, list[object]], others: set[str]) -> None:
    """Bring a copy of the logs up to date, and note the type of what is no change of a log."""
    if event.log is None:
        others.add(event.type)
    elif event.from_seq is not None:
        del copy[event.log][event.from_seq - 1 :]
    else:
        assert event.entries[0].seq == len(copy[event.log]) + 1
        copy[event.log] += contents(entry.value for entry in event.entries)


class WatchPromises(ConformanceBase):
    """`store.watch`, and below it `subscribe` and `changes`."""

    async def test_a_watch_catches_up_from_a_position(self, store: SessionStore, session: Session) -> None:
        here = (await say(store, session.id, "a")).position
        await say(store, session.id, "b", "c")

        events = await watched(store, session.id, here, 1)

        assert told(events) == [("appended", "messages", ["b", "c"])]
        assert [entry.seq for entry in events[0].entries] == [2, 3]
        assert events[0].position == (await store.get(session.id)).position

    async def test_a_watch_tells_what_comes_as_it_comes(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "before")

        async with watching(store.watch(session.id)) as events:
            heard = []
            first = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0.05)
            await say(store, session.id, "a")
            heard += contents(each.value for each in (await soon(first)).entries)
            for text in ("b", "c"):
                await say(store, session.id, text)
                heard += contents(each.value for each in (await soon(anext(events))).entries)

        assert heard == ["a", "b", "c"]

    async def test_a_watch_hears_another_store(
        self, store: SessionStore, other: SessionStore, session: Session
    ) -> None:
        async with watching(other.watch(session.id, after=session.position)) as events:
            first = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0.05)
            await say(store, session.id, "a")

            # Well before the watch would look again by itself.
            assert told([await soon(first, within=4)]) == [("appended", "messages", ["a"])]

    async def test_nothing_is_told_twice_or_left_out(self, store: SessionStore, session: Session) -> None:
        async def write() -> None:
            for number in range(30):
                await store.append(
                    session.id, Message.user(number), log="events" if number % 3 else "messages"
                )

        heard: dict[str, list[int]] = {"messages": [], "events": []}
        async with watching(store.watch(session.id, after=session.position)) as events:
            writing = asyncio.create_task(write())
            while sum(map(len, heard.values())) < 30:
                event = await soon(anext(events))
                assert event.log is not None
                heard[event.log] += contents(each.value for each in event.entries)
            await writing

        assert heard["messages"] == [n for n in range(30) if n % 3 == 0]
        assert heard["events"] == [n for n in range(30) if n % 3]

    async def test_a_watch_goes_on_from_the_position_of_an_event(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "a")
        [first] = await watched(store, session.id, session.position, 1)
        await say(store, session.id, "b")
        assert first.position is not None

        [second] = await watched(store, session.id, Position.parse(str(first.position)), 1)

        assert told([first, second]) == [("appended", "messages", ["a"]), ("appended", "messages", ["b"])]

    async def test_a_watch_goes_on_from_any_event_and_leaves_nothing_out(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "a", "b", "c")
        here = (await say(store, session.id, "e", "f", log="events")).position
        await store.rewind(session.id, to=1)
        await say(store, session.id, "x")
        await say(store, session.id, "g", log="events")
        await store.state(session.id).set("name", 1)
        await store.update(session.id, metadata={"m": 1})

        copy: dict[str, list[object]] = {"messages": ["a", "b", "c"], "events": ["e", "f"]}
        position, others = here, set[str]()
        end = (await store.get(session.id)).position
        while position != end:
            # As one that dies as soon as it can go on from somewhere else.
            async with watching(store.watch(session.id, after=position)) as events:
                event = await soon(anext(events))
                apply(event, copy, others)
                while event.position == position:
                    event = await soon(anext(events))
                    apply(event, copy, others)
            assert event.position is not None
            position = event.position

        assert copy == {
            "messages": await texts(store, session.id),
            "events": await texts(store, session.id, "events"),
        }
        assert others == {"state", "metadata"}

    async def test_a_watch_without_entries_says_where_some_came(
        self, store: SessionStore, session: Session
    ) -> None:
        here = (await say(store, session.id, "a", "b")).position
        await say(store, session.id, "c")
        await store.pop(session.id, 2)
        await say(store, session.id, "d")
        await say(store, session.id, "e", log="events")

        async with watching(store.watch(session.id, after=here, entries=False)) as events:
            heard = await take(events, 3)

        assert [(event.type, event.log, event.entries) for event in heard] == [
            ("reset", "messages", ()),
            ("appended", "messages", ()),
            ("appended", "events", ()),
        ]
        assert heard[-1].position == (await store.get(session.id)).position

    async def test_many_who_watch_one_session_hear_the_same(
        self, store: SessionStore, session: Session
    ) -> None:
        async def listen() -> list[object]:
            heard: list[object] = []
            async with watching(store.watch(session.id, after=session.position)) as events:
                while len(heard) < 20:
                    heard += contents(each.value for each in (await anext(events)).entries)
            return heard

        listeners = [asyncio.create_task(listen()) for _ in range(50)]
        for number in range(20):
            await say(store, session.id, str(number))

        for heard in await soon(asyncio.gather(*listeners)):
            assert heard == [str(number) for number in range(20)]

    async def test_catching_up_goes_beyond_a_page(self, store: SessionStore, session: Session) -> None:
        await store.append(session.id, *[Message.user(n) for n in range(1100)])

        heard: list[int] = []
        async with watching(store.watch(session.id, after=session.position)) as events:
            while len(heard) < 1100:
                heard += contents(each.value for each in (await soon(anext(events))).entries)

        assert heard == list(range(1100))

    async def test_a_new_epoch_is_a_reset_and_what_stands_since(
        self, store: SessionStore, session: Session
    ) -> None:
        here = (await say(store, session.id, "a", "b", "c")).position
        await store.replace(session.id, [Message.user("x")], from_seq=2)

        events = await watched(store, session.id, here, 2)

        assert told(events) == [("reset", "messages", 2), ("appended", "messages", ["x"])]

    async def test_each_log_that_changed_is_reset_once(self, store: SessionStore, session: Session) -> None:
        await say(store, session.id, "a", "b")
        here = (await say(store, session.id, "e", log="events")).position
        await store.pop(session.id)
        await store.clear(session.id)

        events = await watched(store, session.id, here, 2)

        assert {(event.type, event.log, event.from_seq) for event in events} == {
            ("reset", "messages", 1),
            ("reset", "events", 1),
        }

    async def test_state_and_metadata_are_told_at_their_latest(
        self, store: SessionStore, session: Session
    ) -> None:
        await store.state(session.id).set("a", 1)
        await store.state(session.id).set("a", 2)
        await store.update(session.id, metadata={"m": 1})
        await store.update(session.id, tags=["t"])
        await say(store, session.id, "last")

        events = await watched(store, session.id, session.position, 3)

        assert sorted(event.type for event in events) == ["appended", "metadata", "state"]
        async with watching(store.watch(session.id, after=events[-1].position)) as rest:
            more = asyncio.ensure_future(anext(rest))
            await asyncio.sleep(0.05)
            assert not more.done()
            more.cancel()
            await asyncio.gather(more, return_exceptions=True)

    async def test_a_deleted_session_ends_the_watch(self, store: SessionStore, session: Session) -> None:
        async with watching(store.watch(session.id, after=session.position)) as events:
            await store.delete(session.id)

            assert (await soon(anext(events))).type == "deleted"
            with pytest.raises(StopAsyncIteration):
                await soon(anext(events))

    async def test_an_expired_session_ends_the_watch(self, store: SessionStore) -> None:
        await store.create("s", ttl=0.5)

        async with watching(store.watch("s")) as events:
            assert (await soon(anext(events))).type == "expired"
            with pytest.raises(StopAsyncIteration):
                await soon(anext(events))

    async def test_a_session_created_anew_is_not_the_watched_one(self, store: SessionStore) -> None:
        old = await store.create("s")
        await store.delete("s")
        await store.create("s")
        await say(store, "s", "new")

        [event] = await watched(store, "s", old.position, 1)

        assert event.type == "deleted"

    async def test_a_missing_session_cannot_be_watched(self, store: SessionStore) -> None:
        with pytest.raises(SessionNotFoundError):
            await anext(store.watch("missing"))
        with pytest.raises(InvalidArgumentError):
            await anext(store.watch("s", user_id="ada"))

    async def test_watching_a_user_tells_their_sessions(self, store: SessionStore) -> None:
        await store.create("mine", user_id="ada")
        await store.create("theirs", user_id="bob")

        async with watching(store.watch(user_id="ada")) as events:
            first = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0.1)
            await say(store, "theirs", "x")
            await say(store, "mine", "x")
            assert (await soon(first)).session_id == "mine"

            await store.delete("mine")
            await self._hear(events, "deleted", "mine")

    async def test_watching_the_store_tells_all_sessions_and_no_other_kinds(
        self, store: SessionStore
    ) -> None:
        async with watching(store.watch()) as events:
            first = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0.1)
            await store.kv("settings").set("key", 1)
            await store.create("s1", user_id="ada")
            await store.create("s2")

            seen = {(await soon(first)).session_id}
            while len(seen) < 2:
                seen.add((await soon(anext(events))).session_id)

        assert seen == {"s1", "s2"}

    async def _hear(self, events: AsyncIterator[SessionEvent], kind: str, session_id: str) -> None:
        """Listen until this is told; a change may be told more than once."""
        while True:
            event = await soon(anext(events))
            assert event.session_id == session_id
            if event.type == kind:
                return
