"""Promises of the bytes by which a session keeps its data key: they are its own, and only rewritten."""

from __future__ import annotations

from miniagent_store.backend import (
    Backend,
    Create,
    ListQuery,
    ReadPlan,
    Record,
    Rewrite,
    RewriteResult,
    StagePublish,
    StageWrite,
)
from miniagent_store.testing.conformance.base import ConformanceBase, append, commit, identity, make

KEY, OTHER = b"\x01k" + bytes(range(250)), b"another"


async def record_of(backend: Backend, session_id: str = "s") -> Record:
    """The record, which must be there."""
    record = (await backend.read(ReadPlan(session_id))).record
    assert record is not None
    return record


class DataKeyPromises(ConformanceBase):
    """`Create.data_key`, `Record.data_key` and `Rewrite.data_key`."""

    async def test_a_data_key_stays_through_all_that_happens_to_a_session(self, backend: Backend) -> None:
        await make(backend, "s", b"1", data_key=KEY, metadata=b"old", ttl_ms=60_000)
        await make(backend, "bare", b"1")
        for number in range(1, 4):
            await backend.commit(commit(backend, "s", number, changes=append(b"more"), metadata=b"new"))
            await backend.commit(commit(backend, "s", 10 + number, changes=append(b"plain")))
        await backend.touch("s", 90_000, False)

        assert (await record_of(backend)).data_key == KEY
        assert (await record_of(backend, "bare")).data_key == b""
        listed = (await backend.list(ListQuery())).records
        assert {each.session_id: each.data_key for each in listed} == {"s": KEY, "bare": b""}

    async def test_a_session_that_is_there_keeps_its_own(self, backend: Backend) -> None:
        await make(backend, "s", b"1", data_key=KEY)
        await backend.commit(
            commit(
                backend,
                "s",
                1,
                create=Create(keep_existing=True, data_key=OTHER),
                changes=append(b"more"),
            )
        )

        assert (await record_of(backend)).data_key == KEY

    async def test_a_data_key_is_not_counted(self, backend: Backend) -> None:
        await make(backend, "s", b"12345", data_key=KEY)

        assert (await record_of(backend)).size == 5

    async def test_a_published_session_has_its_own(self, backend: Backend) -> None:
        await backend.stage(StageWrite("s", "stage"))
        created = Create(data_key=KEY)
        who = identity(backend, 1)
        await backend.publish(StagePublish("s", "stage", who, backend.now_ms(), created, 5))

        assert (await record_of(backend)).data_key == KEY

    async def test_a_data_key_is_compared_and_set(self, backend: Backend) -> None:
        await make(backend, "s", b"1", data_key=KEY)
        before = await record_of(backend)

        async def change(old: bytes, new: bytes) -> RewriteResult:
            return await backend.rewrite(Rewrite("s", before.incarnation, data_key=(old, new)))

        assert await change(OTHER, b"x") == RewriteResult(0, 1)
        assert await change(KEY, OTHER) == RewriteResult(1, 0)
        after = await record_of(backend)
        assert after.data_key == OTHER
        assert (after.version, after.size, after.token[:16]) == (
            before.version,
            before.size,
            before.token[:16],
        )
        assert after.token != before.token
        assert await change(OTHER, b"") == RewriteResult(1, 0)
        assert (await record_of(backend)).data_key == b""
        assert await change(b"", KEY) == RewriteResult(1, 0)
        await backend.commit(commit(backend, "s", 1, changes=append(b"more")))
        assert (await record_of(backend)).data_key == KEY
