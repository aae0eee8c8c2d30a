"""Promises below `watch`: who is woken, and which sessions changed since a cursor."""

from __future__ import annotations

import pytest

from miniagent_store.backend import Backend, Change, Create, Topic
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    append,
    changed_until,
    commit,
    eventually,
    make,
    say,
)


class ChangePromises(ConformanceBase):
    """`subscribe` and `changes`."""

    @pytest.mark.parametrize("topic", [Topic("session", "s"), Topic("store")], ids=["session", "store"])
    async def test_a_commit_wakes_who_watches(self, backend: Backend, topic: Topic) -> None:
        await make(backend, "s")
        subscription = await backend.subscribe(topic)

        for counter in (1, 2):
            await backend.commit(commit(backend, "s", counter, changes=append(b"x")))
            assert await subscription.wait(10)

        await backend.unsubscribe(topic, subscription)
        await backend.unsubscribe(topic, subscription)

    async def test_changes_begin_now(self, store: SessionStore, backend: Backend) -> None:
        await store.create("before")

        changes, cursor = await backend.changes(None, 10)

        assert list(changes) == []
        assert isinstance(cursor, str)

    async def test_changes_tell_each_session_at_its_latest(
        self, store: SessionStore, backend: Backend
    ) -> None:
        await store.create("deleted", user_id="bob")
        _, cursor = await backend.changes(None, 10)
        await store.create("s1", user_id="ada")
        await store.create("k1", kind="thread")
        latest = await say(store, "s1", "a", "b")
        await store.delete("deleted")

        found: dict[str, Change] = {}

        async def complete() -> bool:
            nonlocal cursor
            changes, cursor = await backend.changes(cursor, 10)
            found.update((change.session_id, change) for change in changes)
            return len(found) == 3 and found["s1"].version == latest.version and found["deleted"].deleted

        await eventually(complete)
        assert found["s1"] == Change("s1", "session", "ada", latest.version)
        assert (found["k1"].kind, found["k1"].deleted) == ("thread", False)
        assert (found["deleted"].user_id, found["deleted"].deleted) == ("bob", True)

    async def test_changes_come_page_by_page(self, store: SessionStore, backend: Backend) -> None:
        _, cursor = await backend.changes(None, 10)
        for number in range(7):
            await store.create(f"s{number}")

        seen: set[str] = set()

        async def complete() -> bool:
            nonlocal cursor
            changes, cursor = await backend.changes(cursor, 3)
            assert len(changes) <= 3
            seen.update(change.session_id for change in changes)
            return len(seen) == 7

        await eventually(complete)

    async def test_what_changed_nothing_is_no_change(self, store: SessionStore, backend: Backend) -> None:
        await store.create("s")
        asked = commit(backend, "s", changes=append(b"x"))
        await backend.commit(asked)
        _, cursor = await backend.changes(None, 10)

        await backend.commit(asked)
        await backend.commit(commit(backend, "s", 2, create=Create(keep_existing=True)))
        await store.create("last")

        assert await changed_until(backend, cursor, "last") == {"last"}
