"""Promises of `expected_version`, and of commits without preconditions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miniagent_store.backend import Backend, Create, Expected, ExpectedTail, LogRange, ReadPlan
from miniagent_store.errors import SessionNotFoundError, SessionReplacedError, VersionConflictError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    append,
    backend_of,
    commit,
    make,
    payloads,
    say,
)
from miniagent_store.values import Message, Session


class ConditionPromises(ConformanceBase):
    """Preconditions of a commit."""

    @pytest.mark.parametrize("by_session", [False, True])
    async def test_a_commit_goes_through_at_the_expected_version(
        self, store: SessionStore, session: Session, by_session: bool
    ) -> None:
        expected = session if by_session else session.version

        after = await store.append(session.id, Message.user("a"), expected_version=expected)

        assert after.version == session.version + 1

    @pytest.mark.parametrize("by_session", [False, True])
    async def test_a_commit_at_another_version_is_a_conflict(
        self, store: SessionStore, session: Session, by_session: bool
    ) -> None:
        expected = session if by_session else session.version
        before = await say(store, session.id, "meanwhile")

        with pytest.raises(VersionConflictError):
            await store.append(session.id, Message.user("a"), expected_version=expected)
        with pytest.raises(VersionConflictError):
            await store.update(session.id, metadata={"m": 1}, expected_version=expected)
        with pytest.raises(VersionConflictError):
            async with store.batch(session.id, expected_version=expected) as batch:
                batch.state.set("name", 1)

        assert await store.get(session.id) == before

    async def test_a_session_created_anew_is_not_the_expected_one(self, store: SessionStore) -> None:
        old = await store.create("s")
        await store.delete("s")
        new = await store.create("s")
        assert new.version == old.version

        with pytest.raises(VersionConflictError):
            await store.append("s", Message.user("a"), expected_version=old)

        assert await store.get("s") == new

    async def test_touching_and_turns_are_no_change_to_whoever_expects_a_session(
        self, store: SessionStore, session: Session
    ) -> None:
        await store.touch(session.id)
        async with store.turn(session.id):
            pass

        await store.append(session.id, Message.user("a"), expected_version=session)

        assert await store.count(session.id) == 1

    async def test_a_session_that_travelled_as_a_dict_is_still_expected(
        self, store: SessionStore, session: Session
    ) -> None:
        travelled = Session.from_dict(session.to_dict())

        await store.append(session.id, Message.user("a"), expected_version=travelled)

        with pytest.raises(VersionConflictError):
            await store.append(session.id, Message.user("a"), expected_version=travelled)

    async def test_another_commit_of_the_same_version_is_a_conflict(self, backend: Backend) -> None:
        # As after a failover: the version is the same, the history behind it is not.
        await make(backend, "s")
        record = (await backend.commit(commit(backend, "s", 1, changes=append(b"a")))).record
        wrong = Expected(record.version, record.incarnation, b"another commit's")

        with pytest.raises(VersionConflictError):
            await backend.commit(commit(backend, "s", 2, changes=append(b"b"), expected=wrong))
        anew = Expected(record.version, "another incarnation")
        with pytest.raises(VersionConflictError):
            await backend.commit(commit(backend, "s", 2, changes=append(b"b"), expected=anew))

        right = Expected(record.version, record.incarnation, record.token)
        await backend.commit(commit(backend, "s", 3, changes=append(b"b"), expected=right))

    async def test_a_writer_that_knows_one_session_does_not_write_to_the_next(
        self, backend: Backend, other: SessionStore
    ) -> None:
        await make(backend, "s", b"old")
        record = (await backend.commit(commit(backend, "s", 1, changes=append(b"old")))).record
        same = Expected(incarnation=record.incarnation)
        for counter in range(2, 5):
            await backend.commit(commit(backend, "s", counter, changes=append(b"old"), expected=same))
        await backend_of(other).delete("s")

        # Gone; gone, but it may be made; and made anew behind our back.
        asked = commit(backend, "s", 5, changes=append(b"old"), expected=same)
        with pytest.raises(SessionNotFoundError):
            await backend.commit(asked)
        with pytest.raises(SessionReplacedError):
            await backend.commit(replace(asked, create=Create(keep_existing=True)))
        await make(backend_of(other), "s", b"new")
        for create in (None, Create(keep_existing=True)):
            with pytest.raises(SessionReplacedError):
                await backend.commit(replace(asked, create=create))

        read = await backend.read(ReadPlan("s", (LogRange("messages"),)))
        assert payloads(read.entries[0]) == [b"new"]

    async def test_who_expects_a_session_is_told_that_it_is_another_first(self, backend: Backend) -> None:
        await make(backend, "s")
        wrong = Expected(99, "another incarnation", b"another commit's")

        with pytest.raises(SessionReplacedError):
            await backend.commit(commit(backend, "s", changes=append(b"x"), expected=wrong))

    async def test_what_was_done_is_answered_whatever_is_expected(self, backend: Backend) -> None:
        await make(backend, "s")
        asked = commit(backend, "s", changes=append(b"x"))
        first = await backend.commit(asked)

        again = await backend.commit(replace(asked, expected=Expected(incarnation="another")))

        assert (again.replayed, again.outcome) == (True, first.outcome)

    async def test_nothing_is_expected_of_a_missing_session(self, store: SessionStore) -> None:
        with pytest.raises(SessionNotFoundError):
            await store.append("missing", Message.user("a"), expected_version=1)

    @pytest.mark.parametrize(
        ("log", "epoch", "seq", "holds"),
        [
            ("messages", 0, 2, True),
            ("messages", 0, 1, False),
            ("messages", 0, 3, False),
            ("messages", 1, 2, False),
            ("events", 0, 0, True),
            ("events", 0, 1, False),
        ],
    )
    async def test_expected_tails_are_compared_in_full(
        self, backend: Backend, log: str, epoch: int, seq: int, holds: bool
    ) -> None:
        await make(backend, "s", b"1", b"2")
        record = (await backend.commit(commit(backend, "s", 1, metadata=b"m"))).record
        tail = ExpectedTail(log, record.incarnation, epoch, seq)
        asked = commit(backend, "s", 2, changes=append(b"3"), expected_tails=(tail,))

        if holds:
            assert (await backend.commit(asked)).outcome.sequences == (3,)
        else:
            with pytest.raises(VersionConflictError):
                await backend.commit(asked)

    async def test_the_tail_of_another_incarnation_is_not_expected(self, backend: Backend) -> None:
        await make(backend, "s", b"1")
        tail = ExpectedTail("messages", "another", 0, 1)

        with pytest.raises(VersionConflictError):
            await backend.commit(commit(backend, "s", changes=append(b"2"), expected_tails=(tail,)))
