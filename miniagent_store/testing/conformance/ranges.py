"""Promises of reading: which entries a range holds, and one consistent read of many parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from miniagent_store.backend import Backend, LogRange, ReadPlan, StateScan
from miniagent_store.errors import InvalidArgumentError
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
from miniagent_store.values import Message, Session

# Of the messages 1 to 9, of which 1 and 2 were trimmed.
RANGES: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [3, 4, 5, 6, 7, 8, 9]),
    ({"last": 2}, [8, 9]),
    ({"last": 0}, []),
    ({"last": 100}, [3, 4, 5, 6, 7, 8, 9]),
    ({"after": 7}, [8, 9]),
    ({"after": 1}, [3, 4, 5, 6, 7, 8, 9]),
    ({"after": 9}, []),
    ({"after": 100}, []),
    ({"before": 5}, [3, 4]),
    ({"before": 3}, []),
    ({"before": 0}, []),
    ({"before": 100}, [3, 4, 5, 6, 7, 8, 9]),
    ({"after": 4, "before": 8}, [5, 6, 7]),
    ({"after": 8, "before": 4}, []),
    ({"limit": 2}, [3, 4]),
    ({"limit": 0}, []),
    ({"after": 5, "limit": 2}, [6, 7]),
    ({"before": 8, "last": 2}, [6, 7]),
    ({"last": 4, "limit": 2}, [6, 7]),
    ({"after": 7, "last": 5}, [8, 9]),
]


class RangePromises(ConformanceBase):
    """Ranges and snapshots."""

    @pytest.mark.parametrize(("wanted", "expected"), RANGES, ids=[str(wanted) for wanted, _ in RANGES])
    async def test_a_range_holds_exactly_what_was_asked_for(
        self, store: SessionStore, session: Session, wanted: dict[str, Any], expected: list[int]
    ) -> None:
        await store.append(session.id, *[Message.user(n) for n in range(1, 10)])
        await store.trim(session.id, before=3)

        assert contents(await store.history(session.id, **wanted)) == expected
        assert [each.seq for each in await store.entries(session.id, **wanted)] == expected

    @pytest.mark.parametrize(("wanted", "expected"), RANGES, ids=[str(wanted) for wanted, _ in RANGES])
    async def test_an_inspection_shows_the_same_range(
        self, store: SessionStore, session: Session, wanted: dict[str, Any], expected: list[int]
    ) -> None:
        await store.append(session.id, *[Message.user(n) for n in range(1, 10)])
        await store.trim(session.id, before=3)

        seen = await store.inspect(session.id, **wanted)
        assert [each.seq for each in seen.entries] == expected
        assert seen.logs["messages"] == (3, 9)
        assert (seen.gaps, seen.problems) == ((), ())

    async def test_an_inspection_says_how_values_are_stored(
        self, store: SessionStore, session: Session
    ) -> None:
        await store.update(session.id, metadata={"plan": "gold"})
        await store.append(session.id, Message.user("a"), Message.user("b"))
        await store.redact(session.id, 1, reason="asked")
        await store.state(session.id).set("b", [1], ttl="1h")
        await store.state(session.id).add("c", 3)
        await store.state(session.id).set("d", "last")

        seen = await store.inspect(session.id, values=2, values_from="b")

        assert seen.session == await store.get(session.id)
        for entry, shown in zip(await store.entries(session.id), seen.entries, strict=True):
            assert (shown.seq, shown.id, shown.time) == (entry.seq, entry.id, entry.time)
            assert (shown.version, shown.log, shown.value) == (entry.version, entry.log, entry.value)
            assert (shown.redacted, shown.error) == (entry.redacted, None)
            assert shown.envelope is not None
            assert shown.envelope.size == shown.size
        assert [(each.name, each.value) for each in seen.values] == [("b", [1]), ("c", 3)]
        assert seen.values[0].expires_at is not None
        assert seen.values[1].envelope is None
        assert seen.metadata is not None
        assert seen.metadata.value == {"plan": "gold"}

    async def test_ranges_that_make_no_sense_are_refused(
        self, store: SessionStore, session: Session
    ) -> None:
        nonsense: list[dict[str, Any]] = [{"last": -1}, {"after": -1}, {"limit": True}, {"before": "3"}]
        for wanted in nonsense:
            with pytest.raises(InvalidArgumentError):
                await store.history(session.id, **wanted)

    async def test_history_goes_on_after_a_position(self, store: SessionStore, session: Session) -> None:
        here = (await say(store, session.id, "a", "b")).position
        await say(store, session.id, "c")

        assert contents(await store.history(session.id, after=here)) == ["c"]
        assert contents(await store.history(session.id, after=session.position)) == ["a", "b", "c"]

    async def test_count_counts_what_stands_after_a_sequence(
        self, store: SessionStore, session: Session
    ) -> None:
        await say(store, session.id, "1", "2", "3", "4")
        await store.trim(session.id, before=3)

        assert await store.count(session.id) == 2
        assert await store.count(session.id, after=3) == 1
        assert await store.count(session.id, after=9) == 0
        assert await store.count(session.id, log="events") == 0

    async def test_a_range_may_begin_at_a_time(self, store: SessionStore, session: Session) -> None:
        noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
        # The third has the time of an earlier one: times need not rise.
        for hours in (0, 2, 1, 3):
            await store.append(session.id, Message.user(hours, time=noon + timedelta(hours=hours)))

        since_two = await store.snapshot(session.id, after_time=noon + timedelta(hours=2))
        last_one = await store.snapshot(session.id, after_time=noon + timedelta(hours=1), last=2)

        assert contents(since_two.history) == [2, 3]
        assert contents(last_one.history) == [1, 3]

    async def test_limit_counts_after_time(self, backend: Backend) -> None:
        await make(backend, "s", b"a", b"b", b"c")

        result = await backend.read(ReadPlan("s", (LogRange("messages", not_before_ms=0, limit=2),)))
        none = await backend.read(ReadPlan("s", (LogRange("messages", not_before_ms=1_001),)))

        assert payloads(result.entries[0]) == [b"a", b"b"]
        assert none.entries == ((),)

    async def test_a_snapshot_reads_all_parts(self, store: SessionStore, session: Session) -> None:
        await say(store, session.id, "a", "b", "c")
        await say(store, session.id, "e", log="events")
        await store.state(session.id).set("plan/1", "x")
        after = await store.state(session.id).set("plan/2", "y")
        await store.state(session.id).add("other")

        snapshot = await store.snapshot(
            session.id, last=2, logs=("messages", "events", "none"), state="plan/"
        )

        assert contents(snapshot.history) == ["b", "c"]
        assert contents(each.value for each in snapshot.logs["events"]) == ["e"]
        assert snapshot.logs["none"] == ()
        assert snapshot.state == {"plan/1": "x", "plan/2": "y"}
        assert snapshot.session.version == after + 1
        assert snapshot.session == await store.get(session.id)

    async def test_a_snapshot_reads_named_state(self, store: SessionStore, session: Session) -> None:
        for name in "abc":
            await store.state(session.id).set(name, name.upper())

        named = await store.snapshot(session.id, logs=(), state=["c", "missing", "a"])
        everything = await store.snapshot(session.id, logs=(), state=True)
        nothing = await store.snapshot(session.id, logs=())

        assert named.state == {"a": "A", "c": "C"}
        assert everything.state == {"a": "A", "b": "B", "c": "C"}
        assert (nothing.state, nothing.logs) == ({}, {})

    async def test_one_read_answers_many_ranges_names_and_scans(
        self, store: SessionStore, backend: Backend
    ) -> None:
        await make(backend, "s", b"1", b"2", b"3")
        await store.state("s").set("a", 1)
        await store.state("s").set("b", 2)
        plan = ReadPlan(
            "s",
            (LogRange("messages", last=1), LogRange("messages", limit=1), LogRange("events")),
            names=("b", "missing"),
            scans=(StateScan(), StateScan(reverse=True, limit=1), StateScan("none")),
        )

        result = await backend.read(plan)

        assert [payloads(each) for each in result.entries] == [[b"3"], [b"1"], []]
        assert [each.name for each in result.values] == ["b"]
        assert [[each.name for each in scan] for scan in result.scans] == [["a", "b"], ["b"], []]
        assert result.record is not None
        assert result.record.tail("messages").count == 3

    async def test_reading_a_missing_session_finds_nothing(self, backend: Backend) -> None:
        plan = ReadPlan("missing", (LogRange("messages"),), names=("a",), scans=(StateScan(),))

        result = await backend.read(plan)

        assert (result.record, result.entries, result.values, result.scans) == (None, (), (), ())

    async def test_payloads_are_kept_byte_for_byte(self, backend: Backend) -> None:
        odd = [b"", b"\x00", bytes(range(256)), b"\xff" * 70_000]
        await make(backend, "s")

        await backend.commit(commit(backend, "s", changes=append(*odd)))

        result = await backend.read(ReadPlan("s", (LogRange("messages"),)))
        assert payloads(result.entries[0]) == odd
