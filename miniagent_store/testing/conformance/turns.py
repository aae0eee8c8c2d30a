"""Promises of turns: one writer at a time, one commit at the end, and no stale writer."""

from __future__ import annotations

import asyncio

import pytest

from miniagent_store.backend import Backend, Fence, LeaseGrant, LeaseRequest, ReadPlan
from miniagent_store.errors import (
    FencedError,
    InvalidArgumentError,
    LockLostError,
    LockTimeoutError,
    SessionNotFoundError,
)
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    append,
    commit,
    contents,
    eventually,
    make,
    say,
    soon,
    texts,
)
from miniagent_store.values import Message, Session


def turn_of(owner: str, session_id: str = "s", *, ttl_ms: int = 10_000) -> LeaseRequest:
    """A request for a session's turn."""
    return LeaseRequest("turn", session_id, owner, ttl_ms, holder=f"holder {owner}")


async def granted(backend: Backend, request: LeaseRequest) -> LeaseGrant:
    """The grant of a lease that must be free."""
    grant = await backend.acquire(request)
    assert isinstance(grant, LeaseGrant)
    return grant


class TurnPromises(ConformanceBase):
    """`store.turn`."""

    async def test_a_turn_has_history_and_commits_once(self, store: SessionStore, session: Session) -> None:
        before = await say(store, session.id, "a", "b", "c")

        async with store.turn(session.id, last=2) as turn:
            assert contents(turn.history) == ["b", "c"]
            assert turn.session is not None
            assert turn.session.version == before.version
            assert not turn.lease.lost
            turn.append(Message.assistant("d"))
            turn.state.set("name", 1)
            turn.append({"content": "e"}, log="events")
            assert await texts(store, session.id) == ["a", "b", "c"]

        assert turn.result is not None
        assert turn.result.session.version == before.version + 1
        assert await texts(store, session.id) == ["a", "b", "c", "d"]
        assert await store.state(session.id).get("name") == 1

    async def test_turns_follow_each_other(self, store: SessionStore, session: Session) -> None:
        async def speak(number: int) -> None:
            async with store.turn(session.id) as turn:
                heard = len(turn.history)
                await asyncio.sleep(0.001)
                turn.append(Message.user(heard), Message.assistant(number))

        await soon(asyncio.gather(*[speak(number) for number in range(10)]))

        said = await texts(store, session.id)
        assert said[0::2] == list(range(0, 20, 2))
        assert sorted(said[1::2]) == list(range(10))

    async def test_turns_of_two_stores_follow_each_other(
        self, store: SessionStore, other: SessionStore, session: Session
    ) -> None:
        async def speak(who: SessionStore) -> None:
            for _ in range(5):
                async with who.turn(session.id) as turn:
                    turn.append(Message.user(len(turn.history)))

        await soon(asyncio.gather(speak(store), speak(other)))

        assert await texts(store, session.id) == list(range(10))

    async def test_a_turn_that_is_held_times_out_at_once_without_waiting(
        self, store: SessionStore, session: Session
    ) -> None:
        async with store.turn(session.id):
            with pytest.raises(LockTimeoutError):
                async with store.turn(session.id, wait=0):
                    pass

        async with store.turn(session.id, wait=0) as turn:
            turn.append(Message.user("a"))
        assert await texts(store, session.id) == ["a"]

    async def test_a_turn_held_by_another_store_tells_its_holder(
        self, store: SessionStore, other: SessionStore, session: Session
    ) -> None:
        async with store.turn(session.id):
            with pytest.raises(LockTimeoutError) as refused:
                async with other.turn(session.id, wait=0.05):
                    pass

        assert refused.value.holder
        assert 0 < refused.value.remaining <= 60

    async def test_a_released_turn_wakes_who_waits(
        self, store: SessionStore, other: SessionStore, session: Session
    ) -> None:
        entered = asyncio.Event()

        async def wait() -> None:
            async with other.turn(session.id) as turn:
                entered.set()
                turn.append(Message.user("second"))

        async with store.turn(session.id) as turn:
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0.05)
            assert not entered.is_set()
            turn.append(Message.user("first"))

        # Far below the lease's own end.
        await soon(waiting, within=10)
        assert await texts(store, session.id) == ["first", "second"]

    async def test_a_turn_whose_body_raises_stores_nothing(
        self, store: SessionStore, session: Session
    ) -> None:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what is tested
            async with store.turn(session.id) as turn:
                turn.append(Message.user("lost"))
                raise ZeroDivisionError

        assert await store.get(session.id) == session
        async with store.turn(session.id, wait=0):
            pass

    async def test_a_turn_whose_body_is_cancelled_stores_nothing(
        self, store: SessionStore, session: Session
    ) -> None:
        entered = asyncio.Event()

        async def speak() -> None:
            async with store.turn(session.id) as turn:
                turn.append(Message.user("lost"))
                entered.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(speak())
        await soon(entered.wait())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(task)

        assert await store.get(session.id) == session
        async with store.turn(session.id, wait=0):
            pass

    async def test_a_turn_cancelled_in_its_commit_is_whole_or_nothing(
        self, store: SessionStore, session: Session
    ) -> None:
        whole: list[str] = []

        async def speak(text: str) -> None:
            async with store.turn(session.id) as turn:
                turn.append(Message.user(text), Message.assistant(text))
                turn.append({"content": text}, log="events")
                committing.set()

        for steps in range(12):
            committing = asyncio.Event()
            task = asyncio.create_task(speak(str(steps)))
            await soon(committing.wait())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

            async with store.turn(session.id, wait=5) as turn:
                stored = contents(turn.history)
            if len(stored) > 2 * len(whole):
                whole.append(str(steps))
            assert stored == [text for text in whole for _ in range(2)]
            assert await texts(store, session.id, "events") == whole

    async def test_an_empty_turn_commits_nothing(self, store: SessionStore, session: Session) -> None:
        async with store.turn(session.id):
            pass

        assert await store.get(session.id) == session

    async def test_a_plain_append_goes_through_during_a_turn(
        self, store: SessionStore, session: Session
    ) -> None:
        async with store.turn(session.id) as turn:
            await soon(say(store, session.id, "plain"))
            turn.append(Message.user("turn"))

        assert await texts(store, session.id) == ["plain", "turn"]

    async def test_a_turn_needs_its_session(self, store: SessionStore) -> None:
        with pytest.raises(SessionNotFoundError):
            async with store.turn("missing"):
                pass

        await store.create("missing")
        async with store.turn("missing", wait=0):
            pass

    async def test_a_turn_may_make_its_session(self, store: SessionStore) -> None:
        async with store.turn("new", create=True) as turn:
            assert (turn.session, turn.history) == (None, [])
            turn.append(Message.user("a"))

        assert await texts(store, "new") == ["a"]

    async def test_the_turn_of_a_session_deleted_meanwhile_stores_nothing(
        self, store: SessionStore, session: Session
    ) -> None:
        with pytest.raises(SessionNotFoundError):  # noqa: PT012 - the block is what is tested
            async with store.turn(session.id) as turn:
                turn.append(Message.user("lost"))
                await store.delete(session.id)

    async def test_a_turn_is_committed_once(self, store: SessionStore, session: Session) -> None:
        async with store.turn(session.id) as turn:
            turn.append(Message.user("a"))
            await turn.commit()
            async with store.turn(session.id) as next_one:
                next_one.append(Message.user("b"))
            with pytest.raises(InvalidArgumentError):
                await turn.commit()

        assert await texts(store, session.id) == ["a", "b"]

    # Below the store

    async def test_a_turns_commit_gives_it_back(self, backend: Backend) -> None:
        await make(backend, "s")
        first = await granted(backend, turn_of("one"))

        await backend.commit(commit(backend, "s", changes=append(b"a"), fence=Fence(first.fence, "one")))

        second = await granted(backend, turn_of("two"))
        assert second.fence > first.fence

    async def test_a_turn_commits_under_its_fence_once(self, backend: Backend) -> None:
        await make(backend, "s")
        grant = await granted(backend, turn_of("one"))
        fence = Fence(grant.fence, "one")
        await backend.commit(commit(backend, "s", 1, changes=append(b"a"), fence=fence))

        with pytest.raises(LockLostError):
            await backend.commit(commit(backend, "s", 2, changes=append(b"b"), fence=fence))

    async def test_a_turn_that_ended_cannot_commit(self, backend: Backend) -> None:
        await make(backend, "s")
        grant = await granted(backend, turn_of("one", ttl_ms=50))
        await eventually(lambda: backend.now_ms() > grant.expires_ms + 10)

        with pytest.raises(LockLostError):
            await backend.commit(
                commit(backend, "s", changes=append(b"a"), fence=Fence(grant.fence, "one"))
            )

    async def test_a_stale_turn_cannot_commit_even_if_nobody_has_since(self, backend: Backend) -> None:
        await make(backend, "s")
        stale = await granted(backend, turn_of("one", ttl_ms=50))
        await eventually(lambda: backend.now_ms() > stale.expires_ms + 10)
        await granted(backend, turn_of("two"))

        with pytest.raises(FencedError):
            await backend.commit(
                commit(backend, "s", changes=append(b"a"), fence=Fence(stale.fence, "one"))
            )

    async def test_a_stale_turn_cannot_commit_after_the_new_one_let_go(self, backend: Backend) -> None:
        await make(backend, "s")
        stale = await granted(backend, turn_of("one", ttl_ms=50))
        await eventually(lambda: backend.now_ms() > stale.expires_ms + 10)
        new = await granted(backend, turn_of("two"))
        assert await backend.release(turn_of("two"), new.fence)

        with pytest.raises(FencedError):
            await backend.commit(
                commit(backend, "s", changes=append(b"a"), fence=Fence(stale.fence, "one"))
            )

    async def test_a_plain_commit_needs_no_fence(self, backend: Backend) -> None:
        await make(backend, "s")
        grant = await granted(backend, turn_of("one"))

        await backend.commit(commit(backend, "s", 1, changes=append(b"plain")))
        result = await backend.commit(
            commit(backend, "s", 2, changes=append(b"turn"), fence=Fence(grant.fence, "one"))
        )

        assert result.outcome.sequences == (2,)

    async def test_a_retried_turn_is_stored_once(self, backend: Backend) -> None:
        await make(backend, "s")
        grant = await granted(backend, turn_of("one"))
        asked = commit(backend, "s", changes=append(b"a"), fence=Fence(grant.fence, "one"))
        first = await backend.commit(asked)
        await granted(backend, turn_of("two"))

        again = await backend.commit(asked)

        assert (again.replayed, again.outcome) == (True, first.outcome)

    async def test_a_named_lock_fences_no_turn(self, backend: Backend) -> None:
        await make(backend, "s")
        grant = await granted(backend, turn_of("one"))
        newer = Fence(grant.fence + 60_000)
        proved = await backend.commit(commit(backend, "s", 1, changes=append(b"lock"), fence=newer))
        assert (proved.record.fence, proved.record.lock_fence) == (grant.fence, newer.fence)
        assert (await granted(backend, turn_of("one"))).fence == grant.fence

        turn = await backend.commit(
            commit(backend, "s", 2, changes=append(b"turn"), fence=Fence(grant.fence, "one"))
        )

        assert (turn.record.fence, turn.record.lock_fence) == (grant.fence, newer.fence)
        result = await backend.read(ReadPlan("s"))
        assert result.record == turn.record
        with pytest.raises(FencedError):
            await backend.commit(
                commit(backend, "s", 3, changes=append(b"stale"), fence=Fence(newer.fence - 1))
            )

    async def test_a_turn_fences_no_named_lock(self, backend: Backend) -> None:
        await make(backend, "s")
        grant = await granted(backend, turn_of("one"))

        older = Fence(grant.fence - 60_000)
        result = await backend.commit(commit(backend, "s", changes=append(b"lock"), fence=older))

        assert (result.record.fence, result.record.lock_fence) == (grant.fence, older.fence)
