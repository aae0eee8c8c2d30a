"""A batch that makes a session says what kind it carries; the rest is as the store would make it."""

from __future__ import annotations

import pytest

from miniagent_store import InvalidArgumentError, open_store


async def test_a_batch_makes_a_session_of_a_kind() -> None:
    async with open_store("memory://", ttl="1h") as store:
        for _ in range(2):
            async with store.batch("a", create=True, kind="langgraph") as batch:
                batch.state.set("name", 1)
        session = await store.get("a")

        assert session.kind == "langgraph"
        assert session.ttl == 3600
        assert [each.id for each in (await store.list(kind="langgraph")).items] == ["a"]
        assert (await store.list()).items == []


async def test_a_kind_is_an_id() -> None:
    async with open_store("memory://") as store:
        with pytest.raises(InvalidArgumentError):
            store.batch("a", create=True, kind="{}")
