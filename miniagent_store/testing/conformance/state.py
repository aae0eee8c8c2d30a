"""Promises of state: an ordered map of named values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from miniagent_store.errors import InvalidArgumentError, VersionConflictError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import ConformanceBase, say
from miniagent_store.values import Session

# In order of their UTF-8 bytes, which is that of their code points and not of UTF-16.
NAMES = [
    " x",
    "!",
    "%",
    "*",
    "A",
    "B",
    "[a]",
    "a",
    "a/",
    "a/1",
    "a/10",
    "a/2",
    "aa",
    "é",
    "日本",
    "ﬀ",
    "🙂",
]
VALUES: list[Any] = [
    None,
    False,
    0,
    -(2**63),
    10**30,
    1.5,
    "",
    "text",
    b"\x00\xff",
    [],
    {},
    [1, [2, {"three": None}]],
    datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
]


class StatePromises(ConformanceBase):
    """Setting, reading, scanning and deleting named values."""

    @pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
    async def test_any_value_comes_back_as_it_was(
        self, store: SessionStore, session: Session, value: Any
    ) -> None:
        state = store.state(session.id)

        await state.set("name", value)

        there = await state.get("name", "absent")
        assert there == value
        assert type(there) is type(value)

    async def test_a_missing_name_is_not_none(self, store: SessionStore, session: Session) -> None:
        state = store.state(session.id)
        await state.set("none", None)

        assert await state.get("none", "default") is None
        assert await state.get("missing", "default") == "default"
        assert await state.item("missing") is None
        assert await state.get_many(["none", "missing"]) == {"none": None}

    async def test_a_value_carries_the_version_that_set_it(
        self, store: SessionStore, session: Session
    ) -> None:
        state = store.state(session.id)

        first = await state.set("name", 1)
        await say(store, session.id, "between")
        second = await state.set("name", 2)

        item = await state.item("name")
        assert item is not None
        assert (item.name, item.value, item.version, item.expires_at) == ("name", 2, second, None)
        assert (first, second) == (session.version + 1, session.version + 3)

    async def test_scan_is_in_order_of_the_bytes_of_names(
        self, store: SessionStore, session: Session
    ) -> None:
        async with store.batch(session.id) as batch:
            for name in NAMES[::-2] + NAMES[::2]:
                batch.state.set(name, name)
            batch.state.set(NAMES[-1], NAMES[-1])
        for name in NAMES:
            await store.state(session.id).set(name, name)

        forward = await store.state(session.id).scan()
        backward = await store.state(session.id).scan(reverse=True)

        assert [each.name for each in forward] == NAMES
        assert [each.value for each in forward] == NAMES
        assert [each.name for each in backward] == NAMES[::-1]

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ({"prefix": "a/"}, ["a/", "a/1", "a/10", "a/2"]),
            ({"prefix": "a/", "reverse": True}, ["a/2", "a/10", "a/1", "a/"]),
            ({"prefix": "a/", "start": "a/10"}, ["a/10", "a/2"]),
            ({"prefix": "a/", "start": "a/10", "reverse": True}, ["a/10", "a/1", "a/"]),
            ({"prefix": "a/", "start": "a/11"}, ["a/2"]),
            ({"prefix": "a/", "start": "a/11", "reverse": True}, ["a/10", "a/1", "a/"]),
            ({"prefix": "a/", "start": "B"}, ["a/", "a/1", "a/10", "a/2"]),
            ({"prefix": "a/", "start": "🙂", "reverse": True}, ["a/2", "a/10", "a/1", "a/"]),
            ({"prefix": "a/", "start": "🙂"}, []),
            ({"prefix": "a/", "limit": 2}, ["a/", "a/1"]),
            ({"prefix": "a/", "limit": 2, "reverse": True}, ["a/2", "a/10"]),
            ({"prefix": "a/", "start": "a/1", "limit": 1}, ["a/1"]),
            ({"limit": 0}, []),
            ({"prefix": "日"}, ["日本"]),
            ({"prefix": "%"}, ["%"]),
            ({"prefix": "["}, ["[a]"]),
            ({"prefix": "none"}, []),
            ({"start": "é"}, ["é", "日本", "ﬀ", "🙂"]),
            ({"start": "A", "reverse": True}, ["A", "*", "%", "!", " x"]),
        ],
        ids=str,
    )
    async def test_a_scan_holds_exactly_what_was_asked_for(
        self, store: SessionStore, session: Session, wanted: dict[str, Any], expected: list[str]
    ) -> None:
        async with store.batch(session.id) as batch:
            for name in NAMES:
                batch.state.set(name, 1)

        assert [each.name for each in await store.state(session.id).scan(**wanted)] == expected

    async def test_delete_tells_whether_it_was_there(self, store: SessionStore, session: Session) -> None:
        state = store.state(session.id)
        await state.set("name", 1)

        assert await state.delete("name") is True
        assert await state.delete("name") is False
        assert await state.get("name", "default") == "default"

    async def test_delete_prefix_removes_all_under_it(self, store: SessionStore, session: Session) -> None:
        state = store.state(session.id)
        for name in NAMES:
            await state.set(name, 1)

        await state.delete_prefix("a/")
        left = [each.name for each in await state.scan()]
        await state.delete_prefix("")

        assert left == [name for name in NAMES if not name.startswith("a/")]
        assert await state.scan() == []

    async def test_a_prefix_is_no_pattern(self, store: SessionStore, session: Session) -> None:
        state = store.state(session.id)
        for name in ("a*", "ab", "a_", "a%", "a?"):
            await state.set(name, 1)

        await state.delete_prefix("a*")
        await state.delete_prefix("a_")
        await state.delete_prefix("a%")

        assert [each.name for each in await state.scan()] == ["a?", "ab"]

    async def test_set_if_absent_sets_once(self, store: SessionStore, session: Session) -> None:
        state = store.state(session.id)

        assert await state.set_if_absent("name", "first") is True
        assert await state.set_if_absent("name", "second") is False
        assert await state.get("name") == "first"

    async def test_what_a_condition_kept_out_is_named(self, store: SessionStore, session: Session) -> None:
        await store.state(session.id).set("there", 1)

        async with store.batch(session.id) as batch:
            batch.state.set_if_absent("there", 2)
            batch.state.set_if_absent("new", 3)
            batch.state.delete("missing")

        assert batch.result is not None
        assert batch.result.kept_out == ("there", "missing")
        assert await store.state(session.id).get_many(["there", "new"]) == {"there": 1, "new": 3}

    async def test_a_required_condition_refuses_the_whole_batch(
        self, store: SessionStore, session: Session
    ) -> None:
        await store.state(session.id).set("there", 1)
        before = await store.get(session.id)

        with pytest.raises(VersionConflictError):  # noqa: PT012 - the block is what is tested
            async with store.batch(session.id) as batch:
                batch.state.set("new", 3)
                batch.state.set_if_absent("there", 2, required=True)

        assert await store.get(session.id) == before
        assert await store.state(session.id).get("new") is None

    async def test_if_version_is_compare_and_set(self, store: SessionStore, session: Session) -> None:
        state = store.state(session.id)
        version = await state.set("name", 1, if_version=0)

        with pytest.raises(VersionConflictError):
            await state.set("name", 2, if_version=0)
        with pytest.raises(VersionConflictError):
            await state.set("name", 2, if_version=version + 1)
        newer = await state.set("name", 3, if_version=version)
        with pytest.raises(VersionConflictError):
            await state.delete("name", if_version=version)
        assert await state.get("name") == 3
        assert await state.delete("name", if_version=newer) is True

    async def test_changes_of_one_batch_happen_in_their_order(
        self, store: SessionStore, session: Session
    ) -> None:
        async with store.batch(session.id) as batch:
            batch.state.set("a", 1)
            batch.state.delete_prefix("")
            batch.state.set("b", 1)
            batch.state.set("b", 2)
            batch.state.set_if_absent("b", 3)
            batch.state.set("c", 1)
            batch.state.delete("c")

        assert [tuple(each) for each in await store.state(session.id).scan()] == [("b", 2)]

    async def test_state_names_are_printable_text(self, store: SessionStore, session: Session) -> None:
        state = store.state(session.id)
        await state.set("{braces}/may stand: here", 1)

        assert await state.get("{braces}/may stand: here") == 1
        for name in ("", "line\nbreak", "x" * 1025):
            with pytest.raises(InvalidArgumentError):
                await state.set(name, 1)

    async def test_state_and_logs_change_in_one_commit(self, store: SessionStore, session: Session) -> None:
        async with store.batch(session.id) as batch:
            batch.append({"content": "a"})
            batch.state.set("name", 1)
            batch.metadata = {"m": 1}
            batch.tags = ["t"]

        assert batch.result is not None
        after = batch.result.session
        assert after.version == session.version + 1
        assert (after.message_count, after.metadata, after.tags) == (1, {"m": 1}, ("t",))
        assert await store.state(session.id).get("name") == 1
