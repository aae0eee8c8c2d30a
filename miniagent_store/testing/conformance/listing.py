"""Promises of listings: newest activity first, filtered, page by page, with nobody missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from miniagent_store.backend import Backend, ListQuery
from miniagent_store.errors import InvalidArgumentError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import ConformanceBase, gone, say
from miniagent_store.values import Session

BASE = datetime(2024, 1, 1, tzinfo=UTC)


async def active_at(store: SessionStore, session_id: str, minutes: int) -> Session:
    """Set a session's last activity; well over a second apart, since indexes may lag by one."""
    async with store.batch(session_id) as batch:
        batch.last_activity = BASE + timedelta(minutes=minutes)
    assert batch.result is not None
    return batch.result.session


async def all_ids(store: SessionStore, *, order: str = "-last_activity", limit: int = 3) -> list[str]:
    """The ids of a whole listing, walked page by page."""
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = await store.list(order=order, cursor=cursor, limit=limit)
        assert len(page) <= limit
        ids += [each.id for each in page]
        cursor = page.next_cursor
        if cursor is None:
            return ids


class ListingPromises(ConformanceBase):
    """`store.list`."""

    async def test_an_empty_store_lists_nothing(self, store: SessionStore) -> None:
        page = await store.list()

        assert (page.items, page.next_cursor) == ([], None)

    async def test_newest_activity_comes_first(self, store: SessionStore) -> None:
        for number, minutes in enumerate([30, 10, 20]):
            await store.create(f"s{number}")
            await active_at(store, f"s{number}", minutes)

        newest = [each.id for each in await store.list()]
        oldest = [each.id for each in await store.list(order="last_activity")]

        assert newest == ["s0", "s2", "s1"]
        assert oldest == newest[::-1]

    async def test_activity_moves_a_session_to_the_front(self, store: SessionStore) -> None:
        for number in range(3):
            await store.create(f"s{number}")
            await active_at(store, f"s{number}", number)

        await say(store, "s0", "hello")

        assert [each.id for each in await store.list()] == ["s0", "s2", "s1"]
        await active_at(store, "s0", -60)
        assert [each.id for each in await store.list()] == ["s2", "s1", "s0"]

    async def test_a_listed_session_is_the_session(self, store: SessionStore) -> None:
        await store.create("s", user_id="ada", metadata={"title": "x"}, tags=["t"], ttl="1h")
        await say(store, "s", "hello")

        assert list(await store.list()) == [await store.get("s")]

    @pytest.mark.parametrize("order", ["-last_activity", "last_activity"])
    async def test_pages_hold_each_session_once(self, store: SessionStore, order: str) -> None:
        for number in range(11):
            await store.create(f"s{number:02}")
            # Some share their time to the millisecond; then ids decide.
            await active_at(store, f"s{number:02}", number // 3)

        ids = await all_ids(store, order=order, limit=3)

        expected = [f"s{number:02}" for number in range(11)]
        assert ids == (expected if order == "last_activity" else expected[::-1])
        assert await all_ids(store, order=order, limit=11) == ids
        assert await all_ids(store, order=order, limit=1) == ids

    async def test_a_last_page_that_is_full_has_no_next(self, store: SessionStore) -> None:
        for number in range(4):
            await store.create(f"s{number}")

        first = await store.list(limit=2)
        second = await store.list(limit=2, cursor=first.next_cursor)

        assert first.next_cursor is not None
        assert second.next_cursor is None

    async def test_a_cursor_survives_changes_between_pages(self, store: SessionStore) -> None:
        for number in range(6):
            await store.create(f"s{number}")
            await active_at(store, f"s{number}", number)
        first = await store.list(limit=3)

        await store.delete(first.items[-1].id)
        await store.create("new")
        second = await store.list(limit=3, cursor=first.next_cursor)

        assert [each.id for each in second] == ["s2", "s1", "s0"]

    async def test_listings_filter_by_user_agent_and_kind(self, store: SessionStore) -> None:
        await store.create("a1", user_id="ada", agent="helper")
        await store.create("a2", user_id="ada", agent="coder")
        await store.create("b1", user_id="bob", agent="helper")
        await store.create("n1")
        await store.create("k1", user_id="ada", agent="helper", kind="thread")

        async def ids(**filters: Any) -> set[str]:
            return {each.id for each in await store.list(**filters)}

        assert await ids() == {"a1", "a2", "b1", "n1"}
        assert await ids(user_id="ada") == {"a1", "a2"}
        assert await ids(agent="helper") == {"a1", "b1"}
        assert await ids(user_id="ada", agent="helper") == {"a1"}
        assert await ids(kind="thread") == {"k1"}
        assert await ids(kind="thread", user_id="bob") == set()
        assert await ids(user_id="ad") == await ids(user_id="nobody") == set()

    async def test_listings_filter_by_all_tags(self, store: SessionStore) -> None:
        await store.create("s1", tags=["a", "b"])
        await store.create("s2", tags=["b", "c"])
        await store.create("s3", tags={"plan": "pro"})
        await store.create("s4")

        async def ids(*tags: str) -> set[str]:
            return {each.id for each in await store.list(tags=tags)}

        assert await ids("b") == {"s1", "s2"}
        assert await ids("a", "b") == {"s1"}
        assert await ids("a", "c") == set()
        assert {each.id for each in await store.list(tags={"plan": "pro"})} == {"s3"}
        await store.update("s4", tags=["a"])
        await store.update("s1", tags=["b"])
        assert await ids("a") == {"s4"}

    async def test_a_filtered_listing_has_full_pages(self, store: SessionStore) -> None:
        for number in range(12):
            await store.create(f"s{number:02}", user_id="ada", tags=["rare"] if number % 4 == 0 else [])

        first = await store.list(user_id="ada", tags=["rare"], limit=2)
        second = await store.list(user_id="ada", tags=["rare"], limit=2, cursor=first.next_cursor)

        assert {each.id for each in [*first, *second]} == {"s00", "s04", "s08"}
        assert (len(first), len(second), second.next_cursor) == (2, 1, None)

    async def test_what_was_deleted_or_expired_is_not_listed(self, store: SessionStore) -> None:
        await store.create("deleted")
        await store.create("expired", ttl=0.05)
        await store.create("there")
        await store.delete("deleted")
        await gone(store, "expired")

        assert [each.id for each in await store.list()] == ["there"]

    async def test_listing_renews_no_ttl(self, store: SessionStore) -> None:
        made = await store.create("s", ttl="1h")

        [listed] = await store.list()

        assert listed.expires_at == made.expires_at
        assert (await store.get("s")).expires_at == made.expires_at

    async def test_a_wrong_cursor_is_refused(self, store: SessionStore) -> None:
        for number in range(3):
            await store.create(f"s{number}")
        page = await store.list(limit=1)

        wrong: list[dict[str, Any]] = [
            {"cursor": "nonsense"},
            {"cursor": page.next_cursor, "order": "last_activity"},
            {"limit": 0},
            {"order": "name"},
            {"tags": "text"},
        ]
        for arguments in wrong:
            with pytest.raises(InvalidArgumentError):
                await store.list(**arguments)

    async def test_the_backends_cursor_is_the_last_record(
        self, store: SessionStore, backend: Backend
    ) -> None:
        for number in range(3):
            await store.create(f"s{number}")
            await active_at(store, f"s{number}", number)

        result = await backend.list(ListQuery(limit=2))

        last = result.records[-1]
        assert result.next_cursor == (last.last_activity_ms, last.session_id)
        assert (await backend.list(ListQuery(limit=3))).next_cursor is None
