"""Promises of expiry: what expired is never shown, with no sweeper running."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from miniagent_store.backend import Backend, Create, ReadPlan
from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    OpenHere,
    append,
    commit,
    eventually,
    gone,
    say,
    texts,
)
from miniagent_store.values import Message, Session

SHORT = 0.1


def lasts(session: Session) -> float:
    """Seconds until a session expires."""
    assert session.expires_at is not None
    return (session.expires_at - datetime.now(UTC)).total_seconds()


class ExpiryPromises(ConformanceBase):
    """TTLs of sessions and of values."""

    async def test_an_expired_session_is_not_there(self, store: SessionStore) -> None:
        await store.create("s", ttl=SHORT)

        await gone(store, "s")

        for call in (
            store.get("s"),
            store.touch("s"),
            store.history("s"),
            store.append("s", Message.user("late")),
            store.state("s").get("name"),
        ):
            with pytest.raises(SessionNotFoundError):
                await call
        assert await store.delete("s") is False

    async def test_all_parts_expire_together(self, store: SessionStore) -> None:
        async with store.batch("s", create=True) as batch:
            batch.append(Message.user("m", id="m1"))
            batch.append({"content": "e"}, log="events")
            batch.state.set("value", 1)
            batch.state.set("longer", 1, ttl="1h")
            batch.state.add("counter")
            batch.metadata = {"m": 1}
            batch.tags = ["t"]
        assert batch.result is not None
        await store.touch("s", ttl=SHORT)
        await gone(store, "s")

        again = await store.create("s")

        assert again.incarnation != batch.result.session.incarnation
        assert (again.version, again.size, again.metadata, again.tags) == (1, 0, {}, ())
        assert await texts(store, "s") == await texts(store, "s", "events") == []
        assert await store.state("s").scan() == []
        # Nor is the id of an entry remembered.
        await store.append("s", Message.user("another", id="m1"))
        assert [each.seq for each in await store.entries("s")] == [1]

    async def test_the_id_of_an_expired_session_is_free(self, store: SessionStore) -> None:
        await store.create("s", ttl=SHORT, metadata={"old": 1})
        await gone(store, "s")

        made = await store.append("s", Message.user("new"), create=True)

        assert (made.version, made.metadata, made.ttl) == (1, {}, None)

    async def test_a_sliding_ttl_is_renewed_by_commits_and_by_touch(self, store: SessionStore) -> None:
        made = await store.create("s", ttl="1h")
        # A backend may renew late, so that not every commit does: a session then ends a little later.
        await asyncio.sleep(0.6)

        committed = await say(store, "s", "a")
        await asyncio.sleep(0.02)
        touched = await store.touch("s")
        await asyncio.sleep(0.02)
        read = await store.get("s")
        got = await store.get("s", touch=True)

        assert made.expires_at is not None
        assert committed.expires_at is not None
        assert touched.expires_at is not None
        assert got.expires_at is not None
        assert made.expires_at < committed.expires_at
        assert made.expires_at < touched.expires_at < got.expires_at
        assert read.expires_at == touched.expires_at

    async def test_a_sliding_session_outlives_its_first_ttl(self, store: SessionStore) -> None:
        made = await store.create("s", ttl=1.5)

        async def is_later() -> bool:
            await store.append("s", Message.user("still here"))
            return made.expires_at is not None and datetime.now(UTC) > made.expires_at

        await eventually(is_later)
        assert (await store.get("s")).message_count > 1

    async def test_an_absolute_ttl_counts_from_creation(self, open_here: OpenHere) -> None:
        store = await open_here(ttl_mode="absolute", ttl="1h")
        made = await store.create("s")
        await asyncio.sleep(0.02)

        committed = await say(store, "s", "a")
        async with store.turn("s") as turn:
            turn.append(Message.user("b"))

        assert made.expires_at is not None
        assert committed.expires_at == (await store.get("s")).expires_at == made.expires_at
        # Touching is asking for it.
        touched = await store.touch("s")
        assert touched.expires_at is not None
        assert touched.expires_at > made.expires_at

    async def test_touch_may_give_a_new_ttl(self, store: SessionStore) -> None:
        await store.create("s")

        hour = await store.touch("s", ttl="1h")
        after = await say(store, "s", "a")
        never = await store.touch("s", ttl="never")

        assert (hour.ttl, after.ttl, never.ttl, never.expires_at) == (3600, 3600, None, None)
        assert 3500 < lasts(hour) <= 3601
        assert (await store.get("s")).expires_at is None

    async def test_the_stores_own_ttl_is_for_new_sessions_of_kind_session(
        self, open_here: OpenHere
    ) -> None:
        store = await open_here(ttl="30m")

        assert (await store.create()).ttl == 1800
        assert (await store.create(ttl="never")).ttl is None
        assert (await store.create(ttl="7d")).ttl == 7 * 86400
        assert (await store.create(kind="thread")).ttl is None
        assert (await store.create(kind="thread", ttl="1h")).ttl == 3600

    async def test_a_ttl_counts_from_the_commit_whatever_time_entries_have(
        self, store: SessionStore
    ) -> None:
        await store.create("s", ttl="1h")
        past = datetime.now(UTC) - timedelta(days=30)

        async with store.batch("s") as batch:
            batch.append(Message.user("imported"), time=past)
            batch.last_activity = past

        assert 3500 < lasts(await store.get("s")) <= 3601

    async def test_impossible_ttls_are_refused(self, store: SessionStore) -> None:
        for ttl in (0, -1, "soon", "0s", True, 10**12):
            with pytest.raises(InvalidArgumentError):
                await store.create(ttl=ttl)

        await store.create("s")
        with pytest.raises(InvalidArgumentError):
            await store.touch("s", ttl=0)

    async def test_a_value_may_expire_before_its_session(
        self, store: SessionStore, session: Session
    ) -> None:
        state = store.state(session.id)
        await state.set("short", 1, ttl=SHORT)
        await state.set("long", 1, ttl="1h")
        await state.set("ever", 1)

        async def is_gone() -> bool:
            return await state.item("short") is None

        await eventually(is_gone)
        assert await state.get_many(["short", "long", "ever"]) == {"long": 1, "ever": 1}
        assert [each.name for each in await state.scan()] == ["ever", "long"]
        assert [each.name for each in await state.scan(limit=1, reverse=True)] == ["long"]
        assert (await store.snapshot(session.id, state=True)).state == {"ever": 1, "long": 1}

    async def test_an_expired_value_is_absent_to_every_condition(
        self, store: SessionStore, session: Session
    ) -> None:
        state = store.state(session.id)
        for name in ("a", "b", "c"):
            await state.set(name, "old", ttl=SHORT)

        async def are_gone() -> bool:
            return not await state.get_many(["a", "b", "c"])

        await eventually(are_gone)
        assert await state.set_if_absent("a", "new") is True
        await state.set("b", "new", if_version=0)
        assert await state.delete("c") is False
        assert await state.get_many(["a", "b"]) == {"a": "new", "b": "new"}

    async def test_setting_a_value_again_sets_its_ttl_again(
        self, store: SessionStore, session: Session
    ) -> None:
        state = store.state(session.id)

        await state.set("name", 1, ttl="1h")
        hour = await state.item("name")
        await state.set("name", 2)
        ever = await state.item("name")

        assert hour is not None
        assert hour.expires_at is not None
        assert 3500 < (hour.expires_at - datetime.now(UTC)).total_seconds() <= 3601
        assert ever is not None
        assert ever.expires_at is None

    async def test_a_commit_that_expired_meanwhile_makes_a_new_session(self, backend: Backend) -> None:
        create = Create(ttl_ms=50, keep_existing=True)
        first = await backend.commit(commit(backend, "s", 1, create=create, changes=append(b"old")))

        async def is_gone() -> bool:
            return (await backend.read(ReadPlan("s"))).record is None

        await eventually(is_gone)
        second = await backend.commit(commit(backend, "s", 2, create=Create(), changes=append(b"new")))

        assert second.created
        assert second.record.incarnation != first.record.incarnation
        assert (second.outcome.sequences, second.record.epoch) == ((1,), 0)
