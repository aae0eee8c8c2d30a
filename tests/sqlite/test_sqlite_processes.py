"""Several processes on one file, and what a killed one leaves."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from pathlib import Path

from sqlite_support import commit, opened, output_of, payloads, start

from miniagent_store.backend import LogRange, ReadPlan, Topic


async def test_processes_that_open_a_new_file_at_once_share_it(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    processes = [start("append", path, "s", 1, 5) for _ in range(6)]
    for process in processes:
        output_of(process)

    async with opened(path) as backend:
        assert len(await payloads(backend, "s")) == 30


async def test_two_processes_append_without_holes_or_losses(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    processes = [start("append", path, "s", 8, 25) for _ in range(2)]

    told = [line.split() for process in processes for line in output_of(process).splitlines()]

    async with opened(path) as backend:
        stored = await payloads(backend, "s")
    assert len(stored) == 400
    assert {int(seq): text.encode() for seq, text in told} == dict(enumerate(stored, 1))


async def test_turns_are_taken_by_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with opened(path) as backend:
        await backend.commit(commit("s", b"1"))
    processes = [start("count_under_turns", path, "s", 20) for _ in range(3)]

    fences = [int(line) for process in processes for line in output_of(process).split()]

    assert len(set(fences)) == 60, "a fence was given twice"


async def test_a_lock_of_two_seconds_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with opened(path) as backend:
        await backend.commit(commit("s", b"1"))
        process = start("lock", path, 2)
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        started = time.monotonic()

        waiting = [asyncio.ensure_future(backend.commit(commit("s", b"2"))) for _ in range(5)]
        await asyncio.sleep(0.1)
        assert await payloads(backend, "s") == [b"1"], "reading waits for no one"
        async with opened(path) as other:
            assert await payloads(other, "s") == [b"1"], "nor does opening"
        await asyncio.gather(*waiting)

        assert 1.5 < time.monotonic() - started < 4
        output_of(process)


async def test_changes_by_another_process_wake_those_who_watch(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with opened(path) as backend:
        await backend.commit(commit("s", b"1"))
        subscription = await backend.subscribe(Topic("session", "s"))
        while await subscription.wait(0.1):
            pass  # it is not known what happened before

        process = start("append", path, "s", 1, 1)

        assert await subscription.wait(20)
        output_of(process)
        assert len(await payloads(backend, "s")) == 2
        await backend.unsubscribe(Topic("session", "s"), subscription)


async def test_changes_by_another_connection_are_seen_within_a_few_polls(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with opened(path) as one, opened(path) as other:
        await one.commit(commit("s", b"1"))
        subscription = await one.subscribe(Topic("store"))
        while await subscription.wait(0.1):
            pass
        delays = []
        for _ in range(5):
            started = time.monotonic()
            await other.commit(commit("t", b"2"))
            assert await subscription.wait(5)
            delays.append(time.monotonic() - started)

        assert sorted(delays)[2] < 0.2


async def test_own_commits_wake_their_own_topics_only(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as backend:
        topics = [Topic("session", "s"), Topic("session", "t"), Topic("store")]
        subscriptions = [await backend.subscribe(topic) for topic in topics]
        for each in subscriptions:
            while await each.wait(0.05):
                pass

        await backend.commit(commit("s", b"1"))

        assert [await each.wait(0.1) for each in subscriptions] == [True, False, True]


async def test_ten_kills_lose_no_acknowledged_commit(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    chance = random.Random(7)
    acknowledged: dict[int, bytes] = {}
    for _ in range(10):
        with start("append", path, "s", 64, 1_000_000) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            await asyncio.sleep(chance.uniform(0, 0.15))
            process.kill()
            lines += process.stdout.readlines()
        told = [line.split() for line in lines if line.endswith("\n")]
        acknowledged |= {int(seq): text.encode() for seq, text in told}

        async with opened(path) as backend:
            read = await backend.read(ReadPlan("s", ranges=(LogRange("messages"),)))
        [entries] = read.entries
        assert [each.seq for each in entries] == list(range(1, len(entries) + 1))
        stored = {each.seq: each.payload for each in entries}
        assert acknowledged.items() <= stored.items()

    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
