"""Promises of staged writes: a session put together out of sight, and shown in one step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miniagent_store.backend import (
    Append,
    Backend,
    Create,
    Kept,
    ListQuery,
    LogRange,
    ReadPlan,
    StagePublish,
    StageWrite,
    StateScan,
    StoredEntry,
    StoredValue,
)
from miniagent_store.errors import (
    BackendUnavailableError,
    OutcomeUnknownError,
    SessionExistsError,
    SessionTooLargeError,
)
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    append,
    commit,
    entry,
    eventually,
    identity,
    make,
    payloads,
)


def stored(
    seq: int, payload: bytes = b"payload", *, version: int = 1, caller_id: str | None = None
) -> StoredEntry:
    """An entry as it is to stand."""
    digest = payload if caller_id else None
    return StoredEntry(seq, version, b"id%010d" % seq, 1_000 + seq, payload, False, caller_id, digest)


def publish(backend: Backend, stage: str = "stage", counter: int = 1, **fields: object) -> StagePublish:
    """Publish a stage as session "s"."""
    base = StagePublish("s", stage, identity(backend, counter), backend.now_ms(), Create(), 5)
    return replace(base, **fields)  # type: ignore[arg-type]


class StagingPromises(ConformanceBase):
    """`stage`, `publish` and `discard`."""

    async def test_what_is_staged_is_invisible(self, backend: Backend) -> None:
        await backend.stage(StageWrite("s", "stage", (("messages", (stored(1),)),)))

        assert (await backend.read(ReadPlan("s", (LogRange("messages"),)))).record is None
        assert (await backend.list(ListQuery())).records == ()
        assert (await backend.stats()).sessions == {}

    async def test_a_published_stage_is_what_was_staged(self, backend: Backend) -> None:
        entries = (
            stored(3, b"3", version=2, caller_id="m3"),
            stored(4, b"stone", version=3)._replace(redacted=True),
        )
        values = (
            StoredValue("a", 2, b"value"),
            StoredValue("n", 3, None, 42),
            StoredValue("t", 3, b"x", expires_ms=backend.now_ms() + 3_600_000),
        )
        await backend.stage(StageWrite("s", "stage", values=values))
        await backend.stage(StageWrite("s", "stage", (("messages", entries[:1]),)))
        await backend.stage(StageWrite("s", "stage", (("messages", entries[1:]), ("events", (stored(1),)))))
        create = Create("thread", "ada", "helper", ("t",), 3_600_000, metadata=b"meta")
        asked = publish(backend, create=create, bases={"messages": 2, "events": 0, "empty": 9})

        result = await backend.publish(asked)

        record = result.record
        assert (result.created, result.replayed, result.outcome.version) == (True, False, 5)
        assert (record.version, record.kind, record.user_id, record.tags) == (5, "thread", "ada", ("t",))
        assert record.size == len(b"3" + b"stone" + b"payload" + b"value" + b"x" + b"meta")
        assert [
            (record.tail(log).base, record.tail(log).count) for log in ("messages", "events", "empty")
        ] == [
            (2, 2),
            (0, 1),
            (9, 0),
        ]
        read = await backend.read(
            ReadPlan("s", (LogRange("messages"), LogRange("events")), scans=(StateScan(),))
        )
        assert read.record == record
        assert read.entries == (entries, (stored(1),))
        assert read.scans == (values,)

    async def test_a_published_session_goes_on_like_any(self, backend: Backend) -> None:
        await backend.stage(StageWrite("s", "stage", (("messages", (stored(1, b"1", caller_id="m1"),)),)))
        await backend.publish(publish(backend, bases={"empty": 9}))
        again = Append("messages", (entry(b"1", caller_id="m1"), entry(b"2")))

        result = await backend.commit(commit(backend, "s", 2, changes=(again, *append(b"x", log="empty"))))

        assert (result.outcome.version, result.outcome.sequences) == (6, (1, 2, 10))

    async def test_what_is_moved_keeps_its_times_and_its_epoch(self, backend: Backend) -> None:
        now = backend.now_ms()
        kept = Kept(now - 5_000_000, now - 4_000_000, now + 3_000_000, epoch=7)
        await backend.stage(StageWrite("s", "stage", (("messages", (stored(1),)),)))

        result = await backend.publish(publish(backend, create=Create(ttl_ms=9_000_000), kept=kept))

        record = (await backend.read(ReadPlan("s"))).record
        assert record == result.record
        assert record is not None
        assert Kept(record.created_ms, record.last_activity_ms, record.expires_ms, record.epoch) == kept
        assert record.ttl_ms == 9_000_000
        (listed,) = (await backend.list(ListQuery())).records
        assert (listed.last_activity_ms, listed.expires_ms) == (now - 4_000_000, now + 3_000_000)
        # From now on it goes on like any: the next commit renews its expiry, an older epoch does not hold.
        after = await backend.commit(commit(backend, "s", 2, changes=append(b"x")))
        assert after.record.epoch == 7
        assert after.record.expires_ms is not None
        assert after.record.expires_ms > now + 8_000_000
        assert after.record.changed_since("another", 7) == {"messages": 1}

    async def test_what_is_moved_and_never_expired_does_not_begin_to(self, backend: Backend) -> None:
        now = backend.now_ms()
        await backend.stage(StageWrite("s", "stage"))

        result = await backend.publish(publish(backend, create=Create(), kept=Kept(now, now, None)))

        assert result.record.expires_ms is None

    async def test_an_empty_stage_may_be_published(self, backend: Backend) -> None:
        await backend.stage(StageWrite("s", "stage"))

        result = await backend.publish(publish(backend))

        assert (result.created, result.record.size) == (True, 0)

    async def test_a_retried_publish_is_done_once(self, backend: Backend) -> None:
        await backend.stage(StageWrite("s", "stage", (("messages", (stored(1),)),)))
        asked = publish(backend)
        first = await backend.publish(asked)

        again = await backend.publish(replace(asked, retry=True))

        assert (again.replayed, again.outcome, again.record) == (True, first.outcome, first.record)

    async def test_a_taken_id_is_not_published_over(self, backend: Backend) -> None:
        await make(backend, "s", b"there")
        await backend.stage(StageWrite("s", "stage", (("messages", (stored(1, b"staged"),)),)))

        with pytest.raises(SessionExistsError):
            await backend.publish(publish(backend))

        read = await backend.read(ReadPlan("s", (LogRange("messages"),)))
        assert payloads(read.entries[0]) == [b"there"]
        await backend.delete("s")
        with pytest.raises(BackendUnavailableError):
            await backend.publish(publish(backend, counter=2))

    async def test_a_stage_that_is_gone_cannot_be_published(self, backend: Backend) -> None:
        with pytest.raises(BackendUnavailableError):
            await backend.publish(publish(backend, "never staged"))
        with pytest.raises(OutcomeUnknownError):
            await backend.publish(publish(backend, "never staged", 2, retry=True))

        assert (await backend.read(ReadPlan("s"))).record is None

    async def test_a_discarded_stage_is_gone(self, backend: Backend) -> None:
        await backend.stage(StageWrite("s", "stage", (("messages", (stored(1),)),)))

        await backend.discard("s", "stage")
        await backend.discard("s", "stage")

        with pytest.raises(BackendUnavailableError):
            await backend.publish(publish(backend))

    async def test_a_stage_is_dropped_when_its_time_is_up(self, backend: Backend) -> None:
        await backend.stage(StageWrite("s", "stage", (("messages", (stored(1),)),), ttl_ms=50))
        until = backend.now_ms() + 100
        await eventually(lambda: backend.now_ms() > until)

        with pytest.raises(BackendUnavailableError):
            await backend.publish(publish(backend))

    async def test_stages_of_one_id_are_apart(self, backend: Backend) -> None:
        await backend.stage(StageWrite("s", "one", (("messages", (stored(1, b"one"),)),)))
        await backend.stage(StageWrite("s", "two", (("messages", (stored(1, b"two"),)),)))
        await backend.discard("s", "one")

        await backend.publish(publish(backend, "two"))

        read = await backend.read(ReadPlan("s", (LogRange("messages"),)))
        assert payloads(read.entries[0]) == [b"two"]

    async def test_a_publish_keeps_to_the_size_limit(self, backend: Backend) -> None:
        await backend.stage(StageWrite("s", "stage", (("messages", (stored(1, b"x" * 100),)),)))

        with pytest.raises(SessionTooLargeError):
            await backend.publish(publish(backend, max_size=50))

        assert (await backend.read(ReadPlan("s"))).record is None

    async def test_a_publish_after_its_not_after_is_refused(self, backend: Backend) -> None:
        await backend.stage(StageWrite("s", "stage", (("messages", (stored(1),)),)))
        late = identity(backend, lasts_ms=-1_000)

        with pytest.raises(OutcomeUnknownError):
            await backend.publish(publish(backend, identity=late))

        assert (await backend.read(ReadPlan("s"))).record is None
