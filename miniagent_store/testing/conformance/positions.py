"""Promises of positions: whether a copy of a history still is a prefix of the truth, and from where not."""

from __future__ import annotations

import pytest

from miniagent_store.backend import KEPT_EPOCHS, Backend, Clear, LogRange, ReadPlan, Trim, Truncate
from miniagent_store.errors import VersionConflictError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    append,
    commit,
    contents,
    make,
    payloads,
    say,
)
from miniagent_store.values import Message, Position, Session

ALL = (LogRange("messages", after=4), LogRange("events", after=1))


class PositionPromises(ConformanceBase):
    """Positions, epochs, incarnations and resets."""

    async def test_a_position_travels_as_text(self, store: SessionStore, session: Session) -> None:
        here = (await say(store, session.id, "a")).position
        await say(store, session.id, "b")

        assert Position.parse(str(here)) == here
        assert contents(await store.history(session.id, after=Position.parse(str(here)))) == ["b"]

    async def test_a_copy_of_appends_still_holds(self, store: SessionStore, session: Session) -> None:
        here = (await say(store, session.id, "a")).position
        await say(store, session.id, "b")
        await say(store, session.id, "e", log="events")
        await store.state(session.id).set("name", 1)

        snapshot = await store.snapshot(session.id, after=here, logs=("messages", "events"))

        assert snapshot.resets == {}
        assert contents(snapshot.history) == ["b"]
        assert contents(each.value for each in snapshot.logs["events"]) == ["e"]

    async def test_a_snapshot_starts_where_a_copy_is_no_longer_true(
        self, store: SessionStore, session: Session
    ) -> None:
        here = (await say(store, session.id, "a", "b", "c")).position
        await store.replace(session.id, [Message.user("x"), Message.user("y")], from_seq=2)

        snapshot = await store.snapshot(session.id, after=here)

        assert snapshot.resets == {"messages": 2}
        assert contents(snapshot.history) == ["x", "y"]
        assert snapshot.position == (await store.get(session.id)).position

    async def test_history_after_a_position_that_no_longer_holds_is_a_conflict(
        self, store: SessionStore, session: Session
    ) -> None:
        here = (await say(store, session.id, "a", "b")).position
        await store.pop(session.id)
        await say(store, session.id, "c")

        with pytest.raises(VersionConflictError):
            await store.history(session.id, after=here)

    async def test_history_of_another_incarnation_is_a_conflict(self, store: SessionStore) -> None:
        await store.create("s")
        here = (await say(store, "s", "a")).position
        await store.delete("s")
        await store.create("s")
        await say(store, "s", "b", "c")

        with pytest.raises(VersionConflictError):
            await store.history("s", after=here)

    async def test_a_read_since_an_epoch_tells_the_lowest_change_of_each_log(
        self, backend: Backend
    ) -> None:
        await make(backend, "s", b"1", b"2", b"3", b"4")
        changes = (*append(b"e1", b"e2", log="events"),)
        before = (await backend.commit(commit(backend, "s", 1, changes=changes))).record
        await backend.commit(commit(backend, "s", 2, changes=(Truncate("messages", 2),)))
        await backend.commit(commit(backend, "s", 3, changes=append(b"x", b"y")))
        await backend.commit(commit(backend, "s", 4, changes=(Truncate("messages", 3),)))

        result = await backend.read(ReadPlan("s", ALL, since=(before.incarnation, before.epoch)))
        halfway = await backend.read(ReadPlan("s", ALL, since=(before.incarnation, before.epoch + 1)))

        assert dict(result.resets) == {"messages": 3}
        assert [payloads(each) for each in result.entries] == [[b"x"], [b"e2"]]
        assert dict(halfway.resets) == {"messages": 4}
        assert [payloads(each) for each in halfway.entries] == [[], [b"e2"]]

    async def test_of_many_changes_in_one_commit_the_lowest_is_told(
        self, store: SessionStore, session: Session
    ) -> None:
        here = (await say(store, session.id, "a", "b", "c", "d")).position

        async with store.batch(session.id) as batch:
            batch.redact(2, reason="x")
            batch.redact(4, reason="x")

        assert (await store.snapshot(session.id, after=here)).resets == {"messages": 2}

    async def test_a_range_never_starts_later_than_it_asked_to(self, backend: Backend) -> None:
        await make(backend, "s", b"1", b"2", b"3", b"4", b"5")
        record = (await backend.commit(commit(backend, "s", 1, changes=append(b"6")))).record
        await backend.commit(commit(backend, "s", 2, changes=(Truncate("messages", 4),)))

        plan = ReadPlan("s", (LogRange("messages", after=1),), since=(record.incarnation, record.epoch))

        result = await backend.read(plan)
        assert payloads(result.entries[0]) == [b"2", b"3", b"4"]

    async def test_of_another_incarnation_every_log_is_told_from_its_start(self, backend: Backend) -> None:
        await make(backend, "s", b"1", b"2")
        changes = (*append(b"e1", log="events"), Trim("messages", 2))
        await backend.commit(commit(backend, "s", 1, changes=changes))

        result = await backend.read(ReadPlan("s", ALL, since=("another", 0)))
        ahead = await backend.read(ReadPlan("s", ALL, since=("another", 99)))

        # From 1, not from what still stands: a copy may hold what was trimmed since.
        assert dict(result.resets) == dict(ahead.resets) == {"messages": 1, "events": 1}
        assert [payloads(each) for each in result.entries] == [[b"2"], [b"e1"]]

    async def test_sixteen_epochs_are_remembered(self, backend: Backend) -> None:
        await make(backend, "s", b"1", b"2", b"3")
        record = (await backend.read(ReadPlan("s"))).record
        assert record is not None
        for counter in range(1, KEPT_EPOCHS + 1):
            changes = (Truncate("messages", 2), *append(b"x"))
            await backend.commit(commit(backend, "s", counter, changes=changes))
        since = (record.incarnation, record.epoch)

        remembered = await backend.read(ReadPlan("s", since=since))
        await backend.commit(commit(backend, "s", 99, changes=(Truncate("messages", 2),)))
        forgotten = await backend.read(ReadPlan("s", since=since))

        assert dict(remembered.resets) == {"messages": 3}
        assert dict(forgotten.resets) == {"messages": 1}

    async def test_the_record_keeps_its_resets(self, backend: Backend) -> None:
        await make(backend, "s", b"1", b"2")
        changes = (*append(b"e1", log="events"),)
        await backend.commit(commit(backend, "s", 1, changes=changes))
        await backend.commit(commit(backend, "s", 2, changes=(Truncate("messages", 1),)))

        result = await backend.commit(commit(backend, "s", 3, changes=(Clear(),)))
        read = await backend.read(ReadPlan("s"))

        assert read.record == result.record
        resets = [(epoch, dict(lowest)) for epoch, lowest in result.record.resets]
        assert resets == [(1, {"messages": 2}), (2, {"messages": 1, "events": 1})]

    async def test_versions_of_state_and_metadata_are_kept(
        self, store: SessionStore, backend: Backend
    ) -> None:
        await store.create("s")
        state_version = await store.state("s").set("name", 1)
        described = await store.update("s", tags=["t"])
        await say(store, "s", "a")

        record = (await backend.read(ReadPlan("s"))).record

        assert record is not None
        assert (record.state_version, record.metadata_version) == (state_version, described.version)
