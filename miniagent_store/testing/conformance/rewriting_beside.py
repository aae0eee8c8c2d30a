"""Promises of bytes that are written anew while others commit to the session, watch it or hold its turn."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from miniagent_store.backend import (
    Append,
    Backend,
    EntryRewrite,
    ExpectedTail,
    Fence,
    LeaseGrant,
    LeaseRequest,
    LogRange,
    ReadPlan,
    Rewrite,
    StateAdd,
    StateSet,
    Truncate,
)
from miniagent_store.errors import IdempotencyConflictError, VersionConflictError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    append,
    backend_of,
    changed_until,
    commit,
    entry,
    make,
    payloads,
    soon,
)
from miniagent_store.testing.conformance.rewriting_bytes import (
    NEW,
    OLD,
    make_full,
    record_in,
    renewal,
    size_of,
    whole,
)
from miniagent_store.testing.conformance.watching import watching
from miniagent_store.values import Message


class RewriteBesidePromises(ConformanceBase):
    """`rewrite` and everyone else."""

    async def test_outcomes_and_ids_are_remembered_over_a_rewrite(self, backend: Backend) -> None:
        await make_full(backend)
        asked = commit(backend, "s", 3, changes=append(OLD), state=(StateAdd("counter", 1),))
        first = await backend.commit(asked)

        await backend.rewrite(renewal(await whole(backend)))

        again = await backend.commit(asked)
        assert (again.replayed, again.outcome) == (True, first.outcome)
        same = Append("messages", (entry(OLD + b"3", caller_id="m3"),))
        repeated = await backend.commit(commit(backend, "s", 4, changes=(same,)))
        assert repeated.outcome.sequences == (4,)
        other = Append("messages", (entry(b"other", caller_id="m3"),))
        with pytest.raises(IdempotencyConflictError) as caught:
            await backend.commit(commit(backend, "s", 5, changes=(other,)))
        assert (caught.value.seq, caught.value.digest) == (4, OLD + b"3")

    async def test_an_append_after_a_rewrite_keeps_the_new_metadata(self, backend: Backend) -> None:
        await self._check_appends_after_rewrites(backend, backend)

    async def test_an_append_after_anothers_rewrite_keeps_the_new_metadata(
        self, backend: Backend, other: SessionStore
    ) -> None:
        await self._check_appends_after_rewrites(backend, backend_of(other))

    async def _check_appends_after_rewrites(self, backend: Backend, rewriter: Backend) -> None:
        await make(backend, "s", OLD, metadata=OLD + b"metadata")
        for counter in range(1, 11):
            await backend.commit(commit(backend, "s", counter, changes=append(OLD)))
            if counter % 3 == 0:
                held = await whole(rewriter)
                metadata = record_in(held).metadata
                asked = replace(renewal(held), metadata=(metadata, metadata + b"+"))
                assert (await rewriter.rewrite(asked)).kept == 0

        after = await whole(rewriter)
        record = record_in(after)
        assert record.metadata == OLD + b"metadata+++"
        assert payloads(after.entries[0]) == [NEW] * 10 + [OLD]
        assert (record.version, record.size) == (11, size_of(after))

    async def test_a_turn_outlives_a_rewrite(self, backend: Backend) -> None:
        await make(backend, "s", OLD)
        turn = LeaseRequest("turn", "s", "owner", 60_000)
        grant = await backend.acquire(turn)
        assert isinstance(grant, LeaseGrant)

        await backend.rewrite(renewal(await whole(backend)))

        fence = Fence(grant.fence, "owner")
        ended = await backend.commit(commit(backend, "s", changes=append(b"end"), fence=fence))
        assert ended.record.version == 2

    async def test_a_session_that_was_read_before_is_still_what_is_expected(
        self, store: SessionStore, backend: Backend
    ) -> None:
        await store.create("s", metadata={"m": 1})
        session = await store.append("s", Message.user("a"))
        record = record_in(await whole(backend))
        metadata = (record.metadata, record.metadata)
        assert (await backend.rewrite(Rewrite("s", record.incarnation, metadata))).replaced == 1

        assert (await store.append("s", Message.user("b"), expected_version=session)).version == 3

    async def test_who_watches_hears_nothing_of_a_rewrite(
        self, store: SessionStore, backend: Backend
    ) -> None:
        await store.create("s", metadata={"m": 1})
        await store.state("s").set("name", 1)
        session = await store.append("s", Message.user("a"))
        _, cursor = await backend.changes(None, 10)
        held = await whole(backend)
        record, [message] = record_in(held), held.entries[0]
        entries = (EntryRewrite("messages", 1, message.id, message.payload, message.payload),)
        asked = Rewrite("s", record.incarnation, (record.metadata, record.metadata), entries)
        async with watching(store.watch("s", after=session.position)) as events:
            listening = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0.05)

            assert (await backend.rewrite(asked)).replaced == 2

            await store.create("last")
            assert await changed_until(backend, cursor, "last") == {"last"}
            assert not listening.done()
            await store.append("s", Message.user("b"))
            event = await soon(listening)
            assert (event.type, event.position.version if event.position else 0) == ("appended", 4)

    async def test_a_rewrite_undoes_no_write_and_loses_none(
        self, backend: Backend, other: SessionStore
    ) -> None:
        await self._check_concurrent_writes(backend, backend_of(other), rounds=40)

    async def test_a_rewrite_harms_no_task_beside_it(self, backend: Backend) -> None:
        await self._check_concurrent_writes(backend, backend, rounds=40)

    @pytest.mark.slow
    async def test_many_rewrites_undo_no_write(self, backend: Backend) -> None:
        await self._check_concurrent_writes(backend, backend, rounds=600)

    async def _check_concurrent_writes(self, backend: Backend, rewriter: Backend, rounds: int) -> None:
        await make(backend, "s", metadata=OLD + b"0", ttl_ms=3_600_000)
        commits = itertools.count(1)
        standing: dict[bytes, None] = {}
        working = 3

        async def say() -> None:
            nonlocal working
            for number in range(rounds):
                body = b"%d" % number
                asked = commit(backend, "s", next(commits), writer="say", changes=append(OLD + body))
                await backend.commit(asked)
                standing[body] = None
                await asyncio.sleep(0)
            working -= 1

        async def keep() -> None:
            nonlocal working
            for number in range(rounds):
                state = (StateSet(f"n{number % 3}", OLD + b"%d" % number, ttl_ms=3_600_000),)
                metadata = OLD + b"%d" % number if number % 5 == 0 else None
                asked = commit(backend, "s", next(commits), writer="keep", state=state, metadata=metadata)
                await backend.commit(asked)
                await asyncio.sleep(0)
            working -= 1

        async def pop() -> None:
            nonlocal working
            for _ in range(rounds // 4):
                read = await backend.read(ReadPlan("s", (LogRange("messages", last=1),)))
                record = record_in(read)
                last = read.entries[0]
                if last:
                    tail = ExpectedTail("messages", record.incarnation, record.epoch, last[0].seq)
                    asked = commit(
                        backend,
                        "s",
                        next(commits),
                        writer="pop",
                        changes=(Truncate("messages", last[0].seq - 1),),
                        expected_tails=(tail,),
                    )
                    try:
                        await backend.commit(asked)
                        popped.append(last[0].payload)
                    except VersionConflictError:
                        refused.append(None)
                await asyncio.sleep(0)
            working -= 1

        async def rewrite() -> int:
            replaced = 0
            while True:
                done = not working
                held = await whole(rewriter)
                await asyncio.sleep(0)
                replaced += (await rewriter.rewrite(renewal(held))).replaced
                if done and not renewal(await whole(rewriter)).parts:
                    return replaced

        popped: list[bytes] = []
        refused: list[None] = []
        *_, replaced = await soon(asyncio.gather(say(), keep(), pop(), rewrite()), within=300)

        held = await whole(backend)
        record = record_in(held)
        assert replaced > 0
        for payload in popped:
            del standing[payload.removeprefix(OLD).removeprefix(NEW)]
        assert sorted(payloads(held.entries[0])) == sorted(NEW + body for body in standing)
        assert [each.payload for each in held.scans[0]] == [
            NEW + b"%d" % max(number for number in range(rounds) if number % 3 == at) for at in range(3)
        ]
        assert record.metadata == NEW + b"%d" % ((rounds - 1) // 5 * 5)
        # Each commit that was not refused is one version, and there is no other.
        assert record.version == next(commits) - len(refused)
        assert record.size == size_of(held)
