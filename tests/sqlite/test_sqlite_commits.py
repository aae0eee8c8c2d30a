"""Many commits, one transaction; and what cancelling, closing and deadlines do to them."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlite_support import SlowCommit, backend_on, commit, identity, opened, output_of, payloads, start

from miniagent_backends.sqlite import sessions
from miniagent_store.backend import Expected
from miniagent_store.errors import (
    BackendUnavailableError,
    OutcomeUnknownError,
    StoreClosedError,
    VersionConflictError,
    WrongLoopError,
)


def our_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("miniagent-sqlite")]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another connection holds the write lock."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


# -- group commit ------------------------------------------------------------------------------------


async def test_commits_at_once_share_transactions(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        before = backend.transactions

        results = await asyncio.gather(*(backend.commit(commit("s", b"%d" % n)) for n in range(64)))

        assert backend.transactions - before <= 3
        assert [each.outcome.sequences for each in results] == [(n,) for n in range(1, 65)]
        assert await payloads(backend, "s") == [b"%d" % n for n in range(64)]


async def test_tasks_that_were_answered_together_go_together_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        before = backend.transactions

        async def append(session_id: str) -> None:
            for _ in range(10):
                await backend.commit(commit(session_id, b"1"))

        await asyncio.gather(*(append(f"s{n}") for n in range(32)))

        assert backend.transactions - before <= 20


async def test_a_refused_commit_undoes_only_itself(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        results = await asyncio.gather(
            backend.commit(commit("s", b"1")),
            backend.commit(commit("s", b"2", expected=Expected(version=7))),
            backend.commit(commit("t", b"3", expected=Expected(version=7))),
            backend.commit(commit("s", b"4")),
            return_exceptions=True,
        )

        assert [type(each) for each in results[1:3]] == [VersionConflictError] * 2
        assert await payloads(backend, "s") == [b"1", b"4"]
        assert (await backend.read(_plan("t"))).record is None


async def test_what_a_job_cannot_bind_fails_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        results = await asyncio.gather(
            backend.commit(commit("s", b"1")),
            backend.commit(commit("lone \ud800 surrogate", b"2")),
            backend.touch("s", 2**70, False),
            backend.commit(commit("s", b"3")),
            return_exceptions=True,
        )

        assert [type(each) for each in results[1:3]] == [UnicodeEncodeError, OverflowError]
        assert await payloads(backend, "s") == [b"1", b"3"]


async def test_an_acknowledged_commit_is_read(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:

        async def append_and_read(session_id: str) -> None:
            for number in range(1, 20):
                await backend.commit(commit(session_id, b"1"))
                assert len(await payloads(backend, session_id)) == number

        await asyncio.gather(*(append_and_read(f"s{n}") for n in range(16)))


# -- cancellation ------------------------------------------------------------------------------------


async def test_a_commit_that_has_not_begun_is_withdrawn(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        await backend.commit(commit("s", b"1"))
        with locked(tmp_path / "a.db"):
            waiting = asyncio.ensure_future(backend.commit(commit("s", b"2")))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        await backend.commit(commit("s", b"3"))
        assert await payloads(backend, "s") == [b"1", b"3"]


async def test_a_commit_that_has_begun_ends_before_the_cancellation_goes_on(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        slow = SlowCommit(backend, b"1")
        await slow.begun()
        slow.task.cancel()
        await asyncio.sleep(0.01)
        slow.task.cancel()
        await asyncio.sleep(0.01)
        assert not slow.task.done()

        slow.let_go()

        with pytest.raises(asyncio.CancelledError):
            await slow.task
        assert await payloads(backend, "s") == [b"1"]


async def test_a_cancelled_read_does_not_wait(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        go = threading.Event()
        reading = asyncio.ensure_future(backend._read(lambda _: go.wait(10)))
        await asyncio.sleep(0.02)
        reading.cancel()

        with pytest.raises(asyncio.CancelledError):
            await reading
        go.set()
        await payloads(backend, "s")


# -- deadlines ---------------------------------------------------------------------------------------


async def test_a_lock_held_past_the_deadline_is_told_and_nothing_is_applied(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db", deadline=0.3) as backend:
        await backend.commit(commit("s", b"1"))
        with locked(tmp_path / "a.db"):
            started = time.monotonic()
            with pytest.raises(BackendUnavailableError, match=r"locked by another process for 0\.3 s"):
                await backend.commit(commit("s", b"2"))
            assert 0.25 < time.monotonic() - started < 2
            assert await payloads(backend, "s") == [b"1"]

        await backend.commit(commit("s", b"3"))
        assert await payloads(backend, "s") == [b"1", b"3"]


async def test_a_commit_that_began_and_does_not_end_is_in_doubt(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db", deadline=0.2) as backend:
        slow = SlowCommit(backend, b"1")

        with pytest.raises(OutcomeUnknownError) as caught:
            await slow.task

        assert caught.value.commit_id is not None
        slow.let_go()
        await backend.commit(commit("s", b"2"))
        assert await payloads(backend, "s") == [b"1", b"2"]


async def test_asking_again_is_answered_as_at_first(tmp_path: Path) -> None:
    once = commit("s", b"1", identity=identity())
    async with opened(tmp_path / "a.db") as backend:
        first = await backend.commit(once)
        for _ in range(31):
            await backend.commit(commit("s", b"2"))

    async with opened(tmp_path / "a.db") as backend:
        again = await backend.commit(once)

        assert again.replayed
        assert again.outcome == first.outcome
        await backend.commit(commit("s", b"2"))
        with pytest.raises(OutcomeUnknownError, match="older than the outcomes"):
            await backend.commit(once)


# -- closing -----------------------------------------------------------------------------------------


async def test_closing_waits_for_what_was_asked(tmp_path: Path) -> None:
    backend = backend_on(tmp_path / "a.db")
    await backend.open()
    tasks = [asyncio.ensure_future(backend.commit(commit("s", b"1"))) for _ in range(50)]
    await asyncio.sleep(0)

    await backend.close()

    assert len(await asyncio.gather(*tasks)) == 50
    assert our_threads() == []
    assert [each.name for each in tmp_path.iterdir()] == ["a.db"], "the log was not moved into the file"
    async with opened(tmp_path / "a.db") as again:
        assert len(await payloads(again, "s")) == 50


async def test_closing_waits_no_longer_than_the_deadline(tmp_path: Path) -> None:
    backend = backend_on(tmp_path / "a.db", deadline=0.2)
    await backend.open()
    with locked(tmp_path / "a.db"):
        waiting = asyncio.ensure_future(backend.commit(commit("s", b"1")))
        await asyncio.sleep(0)
        await asyncio.wait_for(backend.close(), 5)

    with pytest.raises(BackendUnavailableError, match="locked"):
        await waiting


async def test_a_thread_that_ends_by_a_bug_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "a.db") as backend:
        monkeypatch.setattr(backend._writer, "_run_batch", lambda *_: 1 / 0)

        for _ in range(2):
            with pytest.raises(BackendUnavailableError, match=r"ZeroDivisionError.* open the store anew"):
                await backend.commit(commit("s", b"1"))


async def test_a_closed_backend_says_so(tmp_path: Path) -> None:
    backend = backend_on(tmp_path / "a.db")
    with pytest.raises(StoreClosedError):
        await backend.ping()
    await backend.open()
    await backend.close()
    await backend.close()

    for call in (backend.commit(commit("s", b"1")), backend.ping(), backend.claim_expired(1, 1)):
        with pytest.raises(StoreClosedError):
            await call


async def test_an_open_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    backend = backend_on(tmp_path / "a.db")
    opening = asyncio.ensure_future(backend.open())
    await asyncio.sleep(0)
    opening.cancel()

    with pytest.raises(asyncio.CancelledError):
        await opening

    assert our_threads() == []


def test_a_backend_belongs_to_its_loop(tmp_path: Path) -> None:
    backend = backend_on(tmp_path / "a.db")

    with asyncio.Runner() as one, asyncio.Runner() as other:
        one.run(backend.open())
        with pytest.raises(WrongLoopError):
            other.run(backend.ping())
        one.run(backend.close())


def test_a_child_process_cannot_use_it(tmp_path: Path) -> None:
    assert "before a fork" in output_of(start("fork", tmp_path / "a.db"))


async def test_the_loop_turns_while_a_thread_works(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        await backend.commit(commit("big", *[b"x" * 400] * 20_000))
        deleting = asyncio.ensure_future(backend.delete("big"))  # some 50 ms
        turns = 0
        while not deleting.done():
            await asyncio.sleep(0)
            turns += 1

        assert await deleting
        assert turns > 100


def _plan(session_id: str) -> sessions.ReadPlan:
    return sessions.ReadPlan(session_id)
