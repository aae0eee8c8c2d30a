"""Promises of stored bytes that are written anew under a session, which stays what it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miniagent_store.backend import (
    Append,
    Backend,
    Create,
    EntryRewrite,
    LogRange,
    ReadPlan,
    ReadResult,
    Record,
    Redact,
    Rewrite,
    RewriteResult,
    StateAdd,
    StateScan,
    StateSet,
    Trim,
    Truncate,
    ValueRewrite,
)
from miniagent_store.errors import InvalidArgumentError
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    append,
    commit,
    entry,
    eventually,
    make,
    payloads,
)

LOGS = ("messages", "events", "notes")
OLD, NEW = b"old:", b"rewritten:"


async def whole(backend: Backend, session_id: str = "s") -> ReadResult:
    """All that is held of a session."""
    plan = ReadPlan(session_id, tuple(LogRange(log) for log in LOGS), scans=(StateScan(),))
    return await backend.read(plan)


def record_in(held: ReadResult) -> Record:
    """The record, which must be there."""
    assert held.record is not None
    return held.record


def renewal(held: ReadResult) -> Rewrite:
    """Whatever starts with OLD is to start with NEW."""
    record = record_in(held)
    stale = record.metadata.startswith(OLD)
    return Rewrite(
        record.session_id,
        record.incarnation,
        (record.metadata, renewed(record.metadata)) if stale else None,
        tuple(
            EntryRewrite(log, each.seq, each.id, each.payload, renewed(each.payload))
            for log, entries in zip(LOGS, held.entries, strict=True)
            for each in entries
            if each.payload.startswith(OLD)
        ),
        tuple(
            ValueRewrite(value.name, value.payload, renewed(value.payload))
            for value in held.scans[0]
            if value.payload is not None and value.payload.startswith(OLD)
        ),
    )


def renewed(payload: bytes) -> bytes:
    """The payload after a rewrite."""
    return NEW + payload.removeprefix(OLD) if payload.startswith(OLD) else payload


def size_of(held: ReadResult) -> int:
    """The bytes of all that is held."""
    entries = sum(len(each.payload) for log in held.entries for each in log)
    return entries + sum(len(each.payload or b"") for each in held.scans[0]) + len(record_in(held).metadata)


def as_renewed(held: ReadResult) -> ReadResult:
    """What is to be held after a rewrite of everything, but for the record."""
    return replace(
        held,
        record=None,
        entries=tuple(
            tuple(each._replace(payload=renewed(each.payload)) for each in log) for log in held.entries
        ),
        scans=tuple(
            tuple(
                replace(each, payload=None if each.payload is None else renewed(each.payload))
                for each in scan
            )
            for scan in held.scans
        ),
    )


async def make_full(backend: Backend) -> None:
    """Session "s" with something of each kind in it."""
    named = tuple(entry(OLD + b"%d" % number, caller_id=f"m{number}") for number in range(3, 6))
    await backend.commit(
        commit(
            backend,
            "s",
            create=Create("session", "ada", "helper", ("t",), 3_600_000, metadata=OLD + b"metadata"),
            changes=(
                *append(OLD + b"1", OLD + b"2", OLD + b"3"),
                Append("messages", named),
                *append(OLD + b"event", b"other event", log="events"),
                *append(OLD, log="notes"),
            ),
            state=(
                StateSet("value", OLD + b"value"),
                StateSet("expiring", OLD + b"expiring", ttl_ms=1_800_000),
                StateSet("other", b"other"),
                StateAdd("counter", 7),
            ),
        )
    )
    held = await whole(backend)
    secret = held.entries[0][1]
    changes = (Redact("messages", 2, secret.id, OLD + b"tombstone"), Trim("messages", 2))
    await backend.commit(commit(backend, "s", 2, changes=changes))


class RewriteBytesPromises(ConformanceBase):
    """`rewrite`."""

    async def test_a_rewrite_replaces_bytes_and_nothing_else(self, backend: Backend) -> None:
        await make_full(backend)
        held = await whole(backend)
        before = record_in(held)
        asked = renewal(held)

        result = await backend.rewrite(asked)

        after = await whole(backend)
        record = record_in(after)
        assert result == RewriteResult(asked.parts, 0)
        assert asked.parts == 10
        assert replace(after, record=None) == as_renewed(held)
        assert [each.redacted for each in after.entries[0]] == [True, False, False, False, False]
        assert record == replace(
            before, metadata=NEW + b"metadata", size=size_of(after), token=record.token
        )
        assert record.token[:16] == before.token[:16]
        assert record.token != before.token

    async def test_a_rewrite_done_again_changes_nothing(self, backend: Backend) -> None:
        await make_full(backend)
        asked = renewal(await whole(backend))
        await backend.rewrite(asked)
        held = await whole(backend)

        assert await backend.rewrite(asked) == RewriteResult(0, asked.parts)
        assert await whole(backend) == held
        assert renewal(held).parts == 0
        assert await backend.rewrite(renewal(held)) == RewriteResult(0, 0)

    async def test_what_is_not_as_it_was_read_is_left_alone(self, backend: Backend) -> None:
        await make_full(backend)
        held = await whole(backend)
        asked = renewal(held)
        [note] = held.entries[2]
        last = held.entries[0][-1]
        changes = (
            Redact("notes", 1, note.id, b"gone"),
            Truncate("messages", 5),
            *append(last.payload),
            Trim("messages", 4),
        )
        state = (StateSet("value", b"another"), StateAdd("fresh", 1))
        written = commit(backend, "s", 3, changes=changes, state=state, metadata=b"another")
        await backend.commit(written)
        counter = ValueRewrite("counter", b"", b"x")
        absent = EntryRewrite("nowhere", 1, last.id, last.payload, b"x")

        result = await backend.rewrite(
            replace(asked, entries=(*asked.entries, absent), values=(*asked.values, counter))
        )

        # Messages 4 and 5, an event, and the value that expires: message 6 is another with the same bytes.
        after = await whole(backend)
        assert result == RewriteResult(4, asked.parts + 2 - 4)
        assert payloads(after.entries[0]) == [NEW + b"3", NEW + b"4", last.payload]
        assert payloads(after.entries[1]) == [NEW + b"event", b"other event"]
        assert payloads(after.entries[2]) == [b"gone"]
        assert {each.name: each.payload for each in after.scans[0] if each.payload is not None} == {
            "value": b"another",
            "expiring": NEW + b"expiring",
            "other": b"other",
        }
        assert record_in(after).metadata == b"another"
        assert record_in(after).size == size_of(after)

    async def test_another_session_is_left_alone(self, backend: Backend) -> None:
        await make_full(backend)
        asked = renewal(await whole(backend))
        assert await backend.rewrite(replace(asked, session_id="missing")) == RewriteResult(0, asked.parts)
        assert (await whole(backend, "missing")).record is None
        await backend.delete("s")
        assert await backend.rewrite(asked) == RewriteResult(0, asked.parts)
        await make_full(backend)
        held = await whole(backend)

        assert await backend.rewrite(asked) == RewriteResult(0, asked.parts)

        assert await whole(backend) == held

    async def test_an_expired_session_is_left_alone(self, backend: Backend) -> None:
        await make(backend, "s", OLD, ttl_ms=100)
        asked = renewal(await whole(backend))

        async def is_gone() -> bool:
            return (await whole(backend)).record is None

        await eventually(is_gone)
        assert await backend.rewrite(asked) == RewriteResult(0, 1)

    async def test_a_part_is_named_once(self) -> None:
        part = EntryRewrite("messages", 1, b"i" * 12, b"old", b"new")
        value = ValueRewrite("name", b"old", b"new")

        with pytest.raises(InvalidArgumentError):
            Rewrite("s", "incarnation", entries=(part, replace(part, new=b"x")))
        with pytest.raises(InvalidArgumentError):
            Rewrite("s", "incarnation", values=(value, value))
        assert Rewrite("s", "i", (b"", b""), (part, replace(part, log="events")), (value,)).parts == 4

    async def test_a_long_log_is_rewritten_in_steps(self, backend: Backend) -> None:
        bodies = [OLD + b"%d" % number for number in range(1_000)]
        await make(backend, "s", *bodies)
        held = await whole(backend)
        asked = renewal(held)

        # First every third one, so that what is replaced does not lie together; then the rest.
        for parts in (asked.entries[::3], asked.entries[1::3], asked.entries[2::3][::-1]):
            result = await backend.rewrite(replace(asked, entries=parts))
            assert result == RewriteResult(len(parts), 0)

        after = await whole(backend)
        assert replace(after, record=None) == as_renewed(held)
        assert record_in(after).size == size_of(after)

    async def test_any_bytes_can_be_rewritten(self, backend: Backend) -> None:
        odd = [b"", b"\x00", bytes(range(256)), b"\xff" * 100_000]
        await make(backend, "s", *odd, metadata=b"")
        await backend.commit(commit(backend, "s", 1, state=(StateSet("日本", b""),)))
        held = await whole(backend)
        entries = tuple(
            EntryRewrite("messages", each.seq, each.id, each.payload, odd[-at - 1])
            for at, each in enumerate(held.entries[0])
        )
        values = (ValueRewrite("日本", b"", bytes(range(256))),)
        record = record_in(held)

        result = await backend.rewrite(
            Rewrite("s", record.incarnation, (b"", b"\x00\xff"), entries, values)
        )

        after = await whole(backend)
        assert result == RewriteResult(6, 0)
        assert payloads(after.entries[0]) == odd[::-1]
        assert [each.payload for each in after.scans[0]] == [bytes(range(256))]
        assert (record_in(after).metadata, record_in(after).size) == (b"\x00\xff", size_of(after))
