"""Fault 24: a crash between listings and sessions, and sessions that expire while they are written."""

from __future__ import annotations

import asyncio
import random
import sys
import uuid

import pytest

from miniagent_store import Message, SessionNotFoundError, SessionStore, open_store
from miniagent_store.testing.conformance import eventually
from miniagent_store.testing.oracle import Report
from tests.faults.conftest import Record
from tests.faults.deployments import Deployment


def keys_of(deployment: Deployment, pattern: str) -> set[str]:
    """What all masters hold."""
    found: set[str] = set()
    for master in deployment.masters():
        cursor = b"0"
        while True:
            cursor, page = master.command("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            found |= {key.decode() for key in page}
            if cursor == b"0":
                break
    return found


async def listed(store: SessionStore, **filters: str) -> set[str]:
    names, cursor = set[str](), None
    while True:
        page = await store.list(cursor=cursor, limit=500, **filters)
        names |= {session.session_id for session in page.items}
        cursor = page.next_cursor
        if cursor is None:
            return names


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.slow)])
async def test_a_crash_leaves_no_session_unlisted(
    deployment: Deployment, rounds: int, record: Record
) -> None:
    chance, report = random.Random(24), Report()
    for _ in range(rounds):
        namespace = uuid.uuid4().hex
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.faults.creator", deployment.url, namespace),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        acknowledged = {
            (await process.stdout.readline()).decode().strip() for _ in range(chance.randrange(20, 120))
        }
        process.kill()
        rest, _ = await process.communicate()
        acknowledged |= {line.decode() for line in rest.splitlines(keepends=True) if line.endswith(b"\n")}
        acknowledged = {name.strip() for name in acknowledged}

        start = f"{namespace}/session:"
        there = {key.removeprefix(start) for key in keys_of(deployment, f"{start}*")}
        async with open_store(deployment.url, namespace=namespace) as store:
            for filters in ({}, {"user_id": "ada"}):
                assert await listed(store, **filters) == there
            for name in acknowledged & there:
                assert (await store.get(name)).message_count == 1
        report.acknowledged += len(acknowledged)
        report.lost += len(acknowledged - there)
    name = f"24 client killed while it creates, {rounds} times"
    record(name, deployment.topology, report, binary=deployment.binary)
    report.check()


async def test_sessions_that_expire_under_writers_are_whole_or_gone(
    deployment: Deployment, record: Record
) -> None:
    namespace = uuid.uuid4().hex
    names = [f"s{number}" for number in range(6)]
    commits = lives = 0
    options = {"namespace": namespace, "ttl": "150ms", "ttl_mode": "absolute"}
    async with (
        open_store(deployment.url, **options) as one,
        open_store(deployment.url, **options) as other,
    ):
        over = asyncio.Event()

        async def write(store: SessionStore, name: str, writer: int) -> None:
            nonlocal commits
            while not over.is_set():
                async with store.batch(name, create=True) as batch:
                    batch.append(Message.user("x"), {"role": "assistant", "content": "y"})
                    batch.append({"event": 1}, log="events")
                    batch.state.add("n", 1)
                    batch.state.set(f"w{writer}", "z")
                commits += 1
                await asyncio.sleep(0.002)

        async def read(store: SessionStore, name: str) -> None:
            """Each commit has left two messages, an event, and one more in the counter."""
            nonlocal lives
            incarnation = ""
            while not over.is_set():
                try:
                    seen = await store.snapshot(name, logs=("messages", "events"), state=True)
                except SessionNotFoundError:
                    await asyncio.sleep(0)
                    continue
                if seen.session.position.incarnation != incarnation:
                    incarnation = seen.session.position.incarnation
                    lives += 1
                counts = (len(seen.history), len(seen.logs["events"]) * 2, seen.state["n"] * 2)
                assert len(set(counts)) == 1, counts
                assert seen.session.version in {seen.state["n"], seen.state["n"] + 1}
                await asyncio.sleep(0.001)

        tasks = [
            asyncio.create_task(work)
            for name in names
            for work in (write(one, name, 1), write(other, name, 2), read(one, name), read(other, name))
        ]
        await asyncio.sleep(1.5)  # long enough for each session to expire many times
        over.set()
        await asyncio.gather(*tasks)

        async def all_gone() -> bool:
            # Leases and listings have a time of their own.
            return not keys_of(deployment, f"{namespace}/*{{{namespace}/session:*")

        await eventually(all_gone, within=10)
        assert await listed(one) == set()
        await one.sweep()
        assert keys_of(deployment, f"{namespace}/index:*") == set()
    assert lives > 3 * len(names)
    note = f"{lives // 2} lives of {len(names)} sessions, each read whole"
    record("24 sessions expire under writers", deployment.topology, Report(acknowledged=commits), note=note)
