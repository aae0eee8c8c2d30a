"""Promises of a commit's identity: a retry is stored once, and what cannot be known is said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from miniagent_store.backend import (
    MAX_NOT_AFTER_MS,
    OUTCOME_WINDOW,
    Backend,
    Create,
    ReadPlan,
    StateAdd,
    StateSet,
)
from miniagent_store.errors import (
    InvalidArgumentError,
    OutcomeUnknownError,
    SessionNotFoundError,
    VersionConflictError,
)
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    append,
    commit,
    eventually,
    identity,
    make,
    say,
    texts,
)
from miniagent_store.values import Message, Session

Change = Callable[[SessionStore, str], Awaitable[Any]]
CHANGES: dict[str, Change] = {
    "create": lambda store, key: store.create("new", commit_id=key),
    "append": lambda store, key: store.append("s", Message.user("x"), commit_id=key),
    "update": lambda store, key: store.update("s", metadata={"x": 1}, commit_id=key),
    "replace": lambda store, key: store.replace("s", [Message.user("x")], from_seq=2, commit_id=key),
    "redact": lambda store, key: store.redact("s", 1, reason="x", commit_id=key),
    "trim": lambda store, key: store.trim("s", before=2, commit_id=key),
    "clear": lambda store, key: store.clear("s", commit_id=key),
    "rewind": lambda store, key: store.rewind("s", to=1, commit_id=key),
    "fork": lambda store, key: store.fork("s", new_id="new", commit_id=key),
    "state.set": lambda store, key: store.state("s").set("x", 1, commit_id=key),
    "state.set_if_absent": lambda store, key: store.state("s").set_if_absent("x", 1, commit_id=key),
    "state.add": lambda store, key: store.state("s").add("n", 5, commit_id=key),
    "state.delete": lambda store, key: store.state("s").delete("there", commit_id=key),
    "kv.add": lambda store, key: store.kv("counts").add("n", 5, commit_id=key),
}


class IdentityPromises(ConformanceBase):
    """Asking again with the same identity."""

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    async def test_a_call_asked_again_is_answered_as_at_first(
        self, store: SessionStore, change: Change
    ) -> None:
        await store.create("s")
        await say(store, "s", "a", "b", "c")
        await store.state("s").set("there", 1)
        commit_id = store.new_commit_id()

        first = await change(store, commit_id)
        again = await change(store, commit_id)

        assert again == first

    async def test_another_store_may_ask_again(self, store: SessionStore, other: SessionStore) -> None:
        await store.create("s")
        commit_id = store.new_commit_id()

        async with store.batch("s", commit_id=commit_id) as first:
            first.append(Message.user("once"))
            first.state.add("n", 3)
            first.state.delete("missing")
        async with other.batch("s", commit_id=commit_id) as again:
            again.append(Message.user("once"))
            again.state.add("n", 3)
            again.state.delete("missing")

        assert first.result is not None
        assert again.result is not None
        assert (first.result.replayed, again.result.replayed) == (False, True)
        assert again.result.sequences == first.result.sequences == (1,)
        assert again.result.counters == first.result.counters == (3,)
        assert again.result.kept_out == first.result.kept_out == ("missing",)
        assert await texts(store, "s") == ["once"]

    async def test_a_pop_asked_again_takes_no_more(self, store: SessionStore, session: Session) -> None:
        await say(store, session.id, "a", "b", "c")
        commit_id = store.new_commit_id()
        await store.pop(session.id, commit_id=commit_id)

        # What was taken can no longer be told, and that is said.
        with pytest.raises(OutcomeUnknownError):
            await store.pop(session.id, commit_id=commit_id)

        assert await texts(store, session.id) == ["a", "b"]

    async def test_what_is_no_commit_id_is_refused(self, store: SessionStore, session: Session) -> None:
        for text in ("", "nonsense", "a-1", "a-1-later", "a/b-1-1"):
            with pytest.raises(InvalidArgumentError):
                await store.append(session.id, Message.user("x"), commit_id=text)

        assert await store.get(session.id) == session

    async def test_a_retried_commit_is_stored_once(self, backend: Backend) -> None:
        await make(backend, "s")
        asked = commit(backend, "s", changes=append(b"a", b"b"), state=(StateAdd("n", 1),))

        first = await backend.commit(asked)
        again = await backend.commit(asked)

        assert (first.replayed, again.replayed) == (False, True)
        assert again.outcome == first.outcome
        assert again.record == first.record
        assert first.record.tail("messages").count == 2

    async def test_a_retry_does_not_land_in_another_life_of_its_session(self, backend: Backend) -> None:
        await make(backend, "s")
        asked = commit(backend, "s", changes=append(b"a"))
        await backend.commit(asked)
        assert await backend.delete("s")
        await asyncio.sleep(0.01)
        await make(backend, "s")

        with pytest.raises(OutcomeUnknownError):
            await backend.commit(replace(asked, retry=True))

        record = (await backend.read(ReadPlan("s"))).record
        assert record is not None
        assert record.message_count == 0

    async def test_a_retry_is_told_the_record_as_it_is_now(self, backend: Backend) -> None:
        await make(backend, "s")
        asked = commit(backend, "s", 1, changes=append(b"a"))
        first = await backend.commit(asked)
        newest = await backend.commit(commit(backend, "s", 2, changes=append(b"b")))

        again = await backend.commit(asked)

        assert again.outcome == first.outcome
        assert again.record == newest.record

    async def test_a_retry_is_answered_before_anything_is_checked(self, backend: Backend) -> None:
        create = Create()
        asked = commit(backend, "s", create=create, state=(StateSet("x", b"1", if_version=0),))
        first = await backend.commit(asked)

        again = await backend.commit(asked)

        assert again.replayed
        assert again.outcome == first.outcome

    async def test_the_last_32_outcomes_of_a_writer_are_remembered(self, backend: Backend) -> None:
        await make(backend, "s")
        commits = [commit(backend, "s", n, changes=append(b"x")) for n in range(1, OUTCOME_WINDOW + 2)]
        outcomes = [(await backend.commit(each)).outcome for each in commits]

        for asked, outcome in zip(commits[1:], outcomes[1:], strict=True):
            again = await backend.commit(asked)
            assert (again.replayed, again.outcome) == (True, outcome)
        with pytest.raises(OutcomeUnknownError) as refused:
            await backend.commit(commits[0])
        assert refused.value.final
        record = (await backend.read(ReadPlan("s"))).record
        assert record is not None
        assert record.tail("messages").count == OUTCOME_WINDOW + 1

    async def test_commits_of_a_writer_may_come_in_any_order(self, backend: Backend) -> None:
        await make(backend, "s")
        order = [5, 2, 9, 1, 40, 12]
        first = {n: await backend.commit(commit(backend, "s", n, changes=append(b"x"))) for n in order}

        again = {n: await backend.commit(commit(backend, "s", n, changes=append(b"x"))) for n in order}

        assert [first[n].outcome.sequences for n in order] == [(n,) for n in range(1, 7)]
        assert all(again[n].replayed for n in order)
        assert {n: again[n].outcome for n in order} == {n: first[n].outcome for n in order}

    async def test_each_writer_has_a_window_of_its_own(self, backend: Backend) -> None:
        await make(backend, "s")
        await backend.commit(commit(backend, "s", 1, writer="one", changes=append(b"x")))
        for counter in range(1, OUTCOME_WINDOW + 5):
            await backend.commit(commit(backend, "s", counter, writer="two", changes=append(b"x")))

        again = await backend.commit(commit(backend, "s", 1, writer="one", changes=append(b"x")))
        new = await backend.commit(commit(backend, "s", 1, writer="three", changes=append(b"x")))

        assert (again.replayed, new.replayed) == (True, False)

    async def test_each_session_has_a_window_of_its_own(self, backend: Backend) -> None:
        await make(backend, "s1")
        await make(backend, "s2")

        one = await backend.commit(commit(backend, "s1", 7, changes=append(b"x")))
        two = await backend.commit(commit(backend, "s2", 7, changes=append(b"x")))

        assert (one.replayed, two.replayed) == (False, False)

    async def test_a_commit_after_its_not_after_is_refused(self, backend: Backend) -> None:
        await make(backend, "s")
        late = identity(backend, lasts_ms=-1_000)

        with pytest.raises(OutcomeUnknownError) as refused:
            await backend.commit(commit(backend, "s", identity=late, changes=append(b"x")))
        with pytest.raises(OutcomeUnknownError):
            await backend.commit(commit(backend, "new", identity=late, create=Create()))

        assert refused.value.final
        assert refused.value.commit_id == str(late)
        record = (await backend.read(ReadPlan("s"))).record
        assert record is not None
        assert record.tail("messages").count == 0
        assert (await backend.read(ReadPlan("new"))).record is None

    async def test_what_is_remembered_is_answered_after_its_not_after(self, backend: Backend) -> None:
        await make(backend, "s")
        who = identity(backend, lasts_ms=200)
        asked = commit(backend, "s", identity=who, changes=append(b"x"))
        first = await backend.commit(asked)

        await eventually(lambda: backend.now_ms() > who.not_after_ms + 5)

        again = await backend.commit(asked)
        assert (again.replayed, again.outcome) == (True, first.outcome)

    async def test_an_identity_may_not_be_good_for_ever(self, backend: Backend) -> None:
        await make(backend, "s")
        who = identity(backend, lasts_ms=MAX_NOT_AFTER_MS + 60_000)

        with pytest.raises(InvalidArgumentError):
            await backend.commit(commit(backend, "s", identity=who, changes=append(b"x")))

    async def test_a_refused_commit_is_not_remembered(self, backend: Backend) -> None:
        await make(backend, "s")
        refused = commit(backend, "s", 1, state=(StateSet("x", b"1", if_version=99),))
        with pytest.raises(VersionConflictError):
            await backend.commit(refused)

        result = await backend.commit(commit(backend, "s", 1, state=(StateSet("x", b"1"),)))

        assert not result.replayed

    async def test_a_retry_does_not_raise_the_dead(self, backend: Backend) -> None:
        # The first try may have made it, and someone may have deleted it since.
        asked = commit(backend, "s", create=Create(keep_existing=True), changes=append(b"x"), retry=True)

        with pytest.raises(OutcomeUnknownError) as refused:
            await backend.commit(asked)

        assert refused.value.final
        assert (await backend.read(ReadPlan("s"))).record is None

    async def test_a_retry_that_makes_nothing_finds_no_session(self, backend: Backend) -> None:
        with pytest.raises(SessionNotFoundError):
            await backend.commit(commit(backend, "s", changes=append(b"x"), retry=True))

    async def test_a_retry_whose_first_try_never_came_is_applied(self, backend: Backend) -> None:
        await make(backend, "s")

        result = await backend.commit(commit(backend, "s", changes=append(b"x"), retry=True))

        assert (result.replayed, result.outcome.sequences) == (False, (1,))

    async def test_outcomes_die_with_their_session(self, backend: Backend) -> None:
        asked = commit(backend, "s", create=Create(), changes=append(b"x"))
        first = await backend.commit(asked)
        await backend.delete("s")

        again = await backend.commit(asked)

        assert (again.replayed, again.created) == (False, True)
        assert again.record.incarnation != first.record.incarnation
