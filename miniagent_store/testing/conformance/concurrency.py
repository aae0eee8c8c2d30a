"""Promises under concurrency: no conflict, no hole, nothing lost, all or nothing."""

from __future__ import annotations

import asyncio

import pytest

from miniagent_store.errors import VersionConflictError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import ConformanceBase, OpenHere, say, soon, texts
from miniagent_store.values import Message, Session


class ConcurrencyPromises(ConformanceBase):
    """Many tasks, and more than one store."""

    async def test_fifty_tasks_append_without_conflict(self, store: SessionStore, session: Session) -> None:
        async def write(task: int) -> None:
            for number in range(3):
                await store.append(session.id, Message.user([task, number]))

        await soon(asyncio.gather(*[write(task) for task in range(50)]), within=60)

        entries = await store.entries(session.id)
        assert [each.seq for each in entries] == list(range(1, 151))
        assert [each.version for each in entries] == list(range(2, 152))
        said = [each.value["content"] for each in entries]
        for task in range(50):
            assert [number for who, number in said if who == task] == [0, 1, 2]

    async def test_two_stores_append_without_conflict(
        self, store: SessionStore, other: SessionStore, session: Session
    ) -> None:
        async def write(who: SessionStore, name: str) -> None:
            for number in range(15):
                await who.append(session.id, Message.user([name, number]))

        await soon(asyncio.gather(write(store, "one"), write(other, "two")))

        entries = await other.entries(session.id)
        assert [each.seq for each in entries] == list(range(1, 31))
        for name in ("one", "two"):
            assert [e.value["content"][1] for e in entries if e.value["content"][0] == name] == list(
                range(15)
            )

    async def test_what_one_store_committed_another_reads(
        self, store: SessionStore, other: SessionStore
    ) -> None:
        await store.create("s", metadata={"m": 1}, tags=["t"])
        await say(store, "s", "a")
        await store.state("s").set("name", 1)

        assert await other.get("s") == await store.get("s")
        assert await texts(other, "s") == ["a"]
        assert await other.state("s").get("name") == 1
        assert [each.id for each in await other.list(tags=["t"])] == ["s"]

    async def test_a_session_is_made_once(self, store: SessionStore) -> None:
        answers = await soon(
            asyncio.gather(*[store.create("s") for _ in range(10)], return_exceptions=True)
        )

        assert sum(isinstance(each, Session) for each in answers) == 1

    async def test_all_who_make_it_if_missing_find_one_session(self, store: SessionStore) -> None:
        made = await soon(
            asyncio.gather(*[store.append("s", Message.user(n), create=True) for n in range(10)])
        )

        assert len({each.incarnation for each in made}) == 1
        assert sorted(await texts(store, "s")) == list(range(10))

    async def test_one_of_many_with_the_same_expectation_wins(
        self, store: SessionStore, session: Session
    ) -> None:
        answers = await soon(
            asyncio.gather(
                *[store.append(session.id, Message.user(n), expected_version=session) for n in range(10)],
                return_exceptions=True,
            )
        )

        assert sum(isinstance(each, VersionConflictError) for each in answers) == 9
        assert await store.count(session.id) == 1

    async def test_compare_and_set_loses_no_update(self, store: SessionStore, session: Session) -> None:
        state = store.state(session.id)
        await state.set("n", 0)

        async def increment() -> None:
            while True:
                item = await state.item("n")
                assert item is not None
                try:
                    await state.set("n", item.value + 1, if_version=item.version)
                except VersionConflictError:
                    continue
                return

        await soon(asyncio.gather(*[increment() for _ in range(8)]))

        assert await state.get("n") == 8

    async def test_one_snapshot_is_of_one_moment(self, store: SessionStore, session: Session) -> None:
        async def write() -> None:
            for number in range(1, 31):
                async with store.batch(session.id) as batch:
                    batch.append(Message.user(number))
                    batch.append({"content": number}, log="events")
                    batch.state.set("n", number)
                await asyncio.sleep(0)

        writing = asyncio.create_task(write())
        while not writing.done():
            snapshot = await store.snapshot(session.id, logs=("messages", "events"), state=True)
            count = len(snapshot.history)
            assert len(snapshot.logs["events"]) == snapshot.session.message_count == count
            assert snapshot.state == ({"n": count} if count else {})
            assert snapshot.session.version == session.version + count
            # A backend in this process may answer without ever giving way.
            await asyncio.sleep(0)
        await writing

    @pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8])
    async def test_a_cancelled_commit_is_all_or_nothing(
        self, store: SessionStore, session: Session, steps: int
    ) -> None:
        async def write() -> None:
            async with store.batch(session.id) as batch:
                batch.append(*[Message.user(n) for n in range(10)])
                batch.append({"content": "e"}, log="events")
                batch.state.set("n", 1)

        task = asyncio.create_task(write())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await soon(asyncio.gather(task, return_exceptions=True))

        # The outcome was known before the cancellation went on: it does not change any more.
        snapshot = await store.snapshot(session.id, logs=("messages", "events"), state=True)
        await asyncio.sleep(0.05)
        assert await store.get(session.id) == snapshot.session
        parts = (len(snapshot.history), len(snapshot.logs["events"]), snapshot.state)
        assert parts in [(0, 0, {}), (10, 1, {"n": 1})]
        await say(store, session.id, "and on")

    async def test_the_next_store_finds_what_the_last_one_left(
        self, store: SessionStore, other: SessionStore, open_here: OpenHere
    ) -> None:
        await store.create("s", ttl="1h")
        left = await say(store, "s", "a", "b")
        await store.close()

        third = await open_here()

        assert await third.get("s") == await other.get("s") == left
        assert await texts(third, "s") == ["a", "b"]
