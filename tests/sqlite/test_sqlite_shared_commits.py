"""64 commits in one transaction: what goes wrong with one harms none of the others."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlite_support import SlowCommit, commit, opened, payloads, start

from miniagent_backends.sqlite import sessions, writing
from miniagent_backends.sqlite.backend import SqliteBackend
from miniagent_backends.sqlite.records import COLUMNS, record_of
from miniagent_backends.sqlite.transaction import Transaction
from miniagent_store import Message, Session, open_store
from miniagent_store.backend import Expected, LogRange, ReadPlan, StateSet
from miniagent_store.errors import (
    BackendUnavailableError,
    OutcomeUnknownError,
    SessionNotFoundError,
    SessionTooLargeError,
    VersionConflictError,
)
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.append_load import run_processes
from miniagent_store.testing.syncs import SyncCounter, ways

SESSIONS = 61  # of those who only append
MAX_SIZE = 40_000


@asynccontextmanager
async def one_transaction(backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Whatever is asked for inside shares a transaction, however busy the machine is."""
    monkeypatch.setattr(writing, "BATCH_SECONDS", 60)
    first = SlowCommit(backend, b"first")
    await first.begun()
    yield
    await asyncio.sleep(0)  # all is handed over
    first.let_go()
    with suppress(OutcomeUnknownError):
        await first.task


# -- neighbours --------------------------------------------------------------------------------------


class Round:
    """64 tasks at once: 61 append turns, one is cancelled, one runs out of time, one asks for too much."""

    def __init__(self, store: SessionStore, number: int, chance: random.Random) -> None:
        self._store, self._number, self._chance = store, number, chance

    async def run(self) -> None:
        lost = asyncio.ensure_future(self._append("lost"))
        calls: list[Awaitable[Any]] = [
            self._append_late(),
            self._append_too_much(),
            asyncio.wait([lost]),
            *(self._append_in_order(f"s{number}") for number in range(SESSIONS)),
        ]
        self._chance.shuffle(calls)
        asyncio.get_running_loop().call_later(self._chance.uniform(0, 0.01), lost.cancel)
        await asyncio.gather(*calls)

    def _turn(self, place: str) -> tuple[Message, Message]:
        name = f"{self._number}/{place}"
        return Message.user(f"{name}?"), Message.assistant(f"{name}!")

    async def _append(self, session_id: str, name: str = "") -> Session:
        return await self._store.append(session_id, *self._turn(name or session_id), create=True)

    async def _append_in_order(self, session_id: str) -> None:
        """Two commits of one session in flight at once."""
        first, second = await asyncio.gather(self._append(session_id, "1"), self._append(session_id, "2"))
        assert second.version == first.version + 1
        assert second.message_count == first.message_count + 2

    async def _append_late(self) -> None:
        try:
            async with asyncio.timeout(self._chance.uniform(0, 0.01)):
                await self._append("late")
        except TimeoutError:
            pass

    async def _append_too_much(self) -> None:
        for with_state in (False, True):
            session_id = f"s{self._chance.randrange(SESSIONS)}"  # a neighbour's
            batch = self._store.batch(session_id, create=True)
            batch.append(Message.user("x" if with_state else "x" * MAX_SIZE))
            if with_state:
                batch.state.set("much", "x" * MAX_SIZE)
            with pytest.raises(SessionTooLargeError):
                await batch.commit()


async def run_rounds(url: str, rounds: int) -> None:
    chance = random.Random(17)
    async with open_store(url, max_session_size=MAX_SIZE) as store:
        for number in range(rounds):
            await Round(store, number, chance).run()
            if number % 10 == 9 or number == rounds - 1:
                await check_sessions(store, number)
                for session_id in [f"s{each}" for each in range(SESSIONS)]:
                    await store.delete(session_id)


async def check_sessions(store: SessionStore, last_round: int) -> None:
    first_round = last_round - last_round % 10
    for session_id in [f"s{each}" for each in range(SESSIONS)]:
        history = [each.content for each in await store.history(session_id)]
        assert history == [
            f"{number}/{place}{mark}"
            for number in range(first_round, last_round + 1)
            for place in "12"
            for mark in "?!"
        ]
        assert await store.state(session_id).get("much") is None
    for session_id in ("lost", "late"):
        try:
            history = [str(each.content) for each in await store.history(session_id)]
        except SessionNotFoundError:
            continue  # never begun in time
        check_whole_turns(history)


def check_whole_turns(texts: list[str]) -> None:
    assert len(set(texts)) == len(texts), "a turn stands twice"
    for question, answer in zip(texts[::2], texts[1::2], strict=True):
        assert question.removesuffix("?") == answer.removesuffix("!")


async def test_one_that_fails_leaves_its_neighbours_correct(tmp_path: Path) -> None:
    await run_rounds(f"sqlite:///{tmp_path}/a.db?deadline=30s", 6)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_two_hundred_rounds_leave_all_neighbours_correct(tmp_path: Path) -> None:
    await run_rounds(f"sqlite:///{tmp_path}/a.db?deadline=30s", 200)


async def test_a_transaction_past_the_deadline_stores_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "a.db", deadline=1) as backend:
        for number in range(63):
            await backend.commit(commit(f"s{number}", b"1"))
        wanted = [commit(f"s{number}", b"2") for number in range(63)]

        async with one_transaction(backend, monkeypatch):
            tasks = [asyncio.ensure_future(backend.commit(each)) for each in wanted[:40]]
            slow = SlowCommit(backend, b"1")
            tasks += [asyncio.ensure_future(backend.commit(each)) for each in wanted[40:]]
            await asyncio.sleep(0)
        results = await asyncio.gather(slow.task, *tasks, return_exceptions=True)

        # Those who shared it and had begun do not know, and learn it by asking again.
        kinds = [OutcomeUnknownError] * 41 + [BackendUnavailableError] * 23
        assert [type(each) for each in results] == kinds
        slow.let_go()
        again = await asyncio.gather(*map(backend.commit, wanted))
        assert [each.replayed for each in again] == [True] * 40 + [False] * 23
        for number in range(63):
            assert await payloads(backend, f"s{number}") == [b"1", b"2"]


async def test_a_killed_process_leaves_whole_turns(tmp_path: Path) -> None:
    chance, path, rounds = random.Random(3), tmp_path / "a.db", 3
    for number in range(rounds):
        with start("append_turns", path, 64, f"{number}") as process:
            assert process.stdout is not None
            told = [process.stdout.readline()]
            await asyncio.sleep(chance.uniform(0, 0.1))
            process.kill()
            told += process.stdout.readlines()
        acknowledged = [line.split() for line in told if line.endswith("\n")]
        assert acknowledged
        async with opened(path) as backend:
            stored = {
                f"s{task}": [each.decode() for each in await payloads(backend, f"s{task}")]
                for task in range(64)
            }
        for texts in stored.values():
            check_whole_turns(texts)
        for session_id, text in acknowledged:
            assert f"{text}!" in stored[session_id]


# -- without a savepoint -----------------------------------------------------------------------------


async def test_what_fails_after_it_wrote_without_a_savepoint_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_and_fail(transaction: Transaction) -> None:
        sessions.commit(transaction, commit("s5", b"never"))
        raise KeyError("after writing")

    async with opened(tmp_path / "a.db") as backend:
        await backend.commit(commit("s0", b"1"))
        before = backend.transactions

        async with one_transaction(backend, monkeypatch):
            wanted = [commit(f"s{number % 8}", b"%d" % number) for number in range(64)]
            calls = [*map(backend.commit, wanted)]
            calls.insert(32, backend._write(write_and_fail, guarded=False))
            tasks = [asyncio.ensure_future(call) for call in calls]
            await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)

        assert backend.transactions - before == 2, "the half that was done anew, and the other"
        assert [type(each) for each in results if isinstance(each, Exception)] == [KeyError]
        assert await payloads(backend, "s5") == [b"%d" % number for number in range(5, 64, 8)]
        await check_known(backend)


async def test_what_cannot_be_bound_is_undone_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        bad = commit("s", b"never", b"")
        object.__setattr__(bad.changes[0].entries[1], "time_ms", 2**70)  # type: ignore[union-attr]

        results = await asyncio.gather(
            backend.commit(commit("s", b"1")),
            backend.commit(bad),
            backend.commit(commit("s", b"2")),
            return_exceptions=True,
        )

        assert isinstance(results[1], OverflowError)
        assert await payloads(backend, "s") == [b"1", b"2"]


# -- what the writer knows ---------------------------------------------------------------------------


def known_and_stored(transaction: Transaction) -> Iterator[tuple[Any, Any]]:
    assert transaction.known is not None
    for (namespace, session_id), known in transaction.known._standing.items():
        row = transaction.execute(
            f"SELECT sessions.key, {COLUMNS} FROM sessions WHERE namespace = ? AND id = ?",
            (namespace, session_id),
        ).fetchone()
        yield (known.key, known.record), (row[0], record_of(row[1:]))
        for writer, window in known.windows.items():
            yield (
                (window.stamp_ms, transaction.windows.pack(known.key, writer, window)),
                transaction.execute(
                    "SELECT stamp_ms, outcomes FROM writers WHERE session = ? AND writer = ?",
                    (known.key, writer),
                ).fetchone(),
            )


async def check_known(backend: SqliteBackend) -> int:
    """What the writer knows is what stands; how much that is."""
    pairs = await backend._write(lambda transaction: list(known_and_stored(transaction)))
    for known, stored in pairs:
        assert known == stored
    return len(pairs)


async def test_what_the_writer_knows_is_what_stands(tmp_path: Path) -> None:
    chance, seen = random.Random(9), 0
    async with opened(tmp_path / "a.db") as backend, opened(tmp_path / "a.db") as other:
        for number in range(60):
            at = chance.choice([backend, backend, backend, backend, other])
            some = [f"s{chance.randrange(12)}" for _ in range(8)]
            await asyncio.gather(
                *(at.commit(commit(each, b"1", b"2")) for each in some[:3]),
                at.commit(commit(some[3], b"3", expected=Expected(version=number))),
                at.commit(commit(some[4], b"4", state=(StateSet("a", b"x" * 90),), max_size=400)),
                at.commit(commit(some[5], state=(StateSet("b", b"y", ttl_ms=1),))),
                at.touch(some[6], 60_000, False),
                at.delete(some[7]),
                at.reclaim(),
                return_exceptions=True,
            )
            seen += await check_known(backend)
    assert seen > 20


async def test_what_another_connection_changed_is_read_anew(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        for _ in range(3):
            await backend.commit(commit("s", b"1"))
        with sqlite3.connect(tmp_path / "a.db") as connection:
            connection.execute("UPDATE sessions SET version = 70")
        connection.close()

        with pytest.raises(VersionConflictError):
            await backend.commit(commit("s", b"2", expected=Expected(version=3)))

        assert (await backend.commit(commit("s", b"2"))).record.version == 71


async def test_large_metadata_is_not_kept_in_memory(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        await backend.commit(commit("s", b"1", metadata=b"m" * 10_000))
        await backend.commit(commit("s", b"2"))

        assert await check_known(backend) == 0
        record = (await backend.read(ReadPlan("s", ranges=(LogRange("messages"),)))).record
        assert record is not None
        assert record.metadata == b"m" * 10_000


# -- fsyncs ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not ways(), reason="needs Linux with a C compiler or strace")
@pytest.mark.parametrize("processes", [1, 4])
def test_sixteen_appends_share_an_fsync(tmp_path: Path, processes: int) -> None:
    with SyncCounter() as syncs:
        loads, counted = run_processes(f"sqlite:///{tmp_path}/a.db?deadline=60s", processes, 64, 5, syncs)

    turns = sum(load.turns for load in loads)
    assert turns == processes * 64 * 5
    assert 5 <= counted <= turns / 16
