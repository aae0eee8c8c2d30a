"""Faults 10, 14 and 15: no memory, keys that are evicted, a disk that cannot be written."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from miniagent_store import (
    CapacityError,
    Message,
    SessionDamagedError,
    SessionNotFoundError,
    open_store,
)
from miniagent_store.testing.conformance import eventually
from miniagent_store.testing.oracle import Report
from miniagent_store.testing.servers import Server
from miniagent_store.testing.workload import Workload
from tests.faults.conftest import Record
from tests.faults.deployments import Deployment, deploy
from tests.faults.disturbing import tell_all

Change = Callable[[Deployment], Awaitable[object]]
# More than there are shards, so that each has one.
SESSIONS = 12


async def leave_no_memory(deployment: Deployment) -> None:
    await tell_all(deployment, "CONFIG", "SET", "maxmemory", 1)


async def give_memory(deployment: Deployment) -> None:
    await tell_all(deployment, "CONFIG", "SET", "maxmemory", 0)


async def break_the_disk(deployment: Deployment) -> None:
    """A folder in the place of the file: the server cannot save, and says MISCONF to writes."""
    for master in deployment.masters():
        # A replica that became a master has one.
        (master.folder / "dump.rdb").unlink(missing_ok=True)
        (master.folder / "dump.rdb").mkdir()
        master.command("CONFIG", "SET", "save", "3600 1000000")
    await save(deployment, "err")


async def mend_the_disk(deployment: Deployment) -> None:
    for master in deployment.masters():
        (master.folder / "dump.rdb").rmdir()
    await save(deployment, "ok")
    for master in deployment.masters():
        master.command("CONFIG", "SET", "save", "")
        (master.folder / "dump.rdb").unlink()


async def save(deployment: Deployment, wanted: str) -> None:
    await tell_all(deployment, "BGSAVE")
    for master in deployment.masters():

        async def saved(master: Server = master) -> bool:
            told = await asyncio.to_thread(master.command, "INFO", "persistence")
            return f"rdb_last_bgsave_status:{wanted}".encode() in told and b"in_progress:0" in told

        await eventually(saved)


@pytest.mark.parametrize(
    ("fault", "fill", "empty"),
    [
        ("10 OOM with noeviction", leave_no_memory, give_memory),
        ("15 MISCONF, the disk cannot be written", break_the_disk, mend_the_disk),
    ],
    ids=["OOM", "MISCONF"],
)
async def test_what_has_no_room_is_refused_and_the_rest_goes_on(
    deployment: Deployment, fault: str, fill: Change, empty: Change, record: Record
) -> None:
    names = [f"full-{number}" for number in range(SESSIONS)]
    # A turn whose end cannot be written holds up the next for as long as a lease lasts.
    async with Workload(deployment.url, mix=("append", "state", "counter")) as work:
        store = work.stores[0]
        for name in names:
            await store.append(name, Message.user("kept"), create=True)
        work.start()
        await work.acknowledge(2)
        work.mark()
        await fill(deployment)
        for name in names:
            with pytest.raises(CapacityError):
                await store.append(name, Message.user("too much"))
            assert [message.content for message in await store.history(name)] == ["kept"]
        if fill is leave_no_memory:  # who cannot save does not delete either
            for name in names:
                assert await store.delete(name)
        await empty(deployment)
        await work.acknowledge(2)
        await work.stop()
        report = await work.report(servers=deployment.masters())

    record(fault, deployment.topology, report, binary=deployment.binary)
    report.check()
    assert {type(attempt.error) for attempt in report.errors} == {CapacityError}
    assert not report.unknown


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "volatile-ttl"])
async def test_evicted_parts_are_never_half_a_session(binary: Path, policy: str, record: Record) -> None:
    """Sessions under a server that throws keys away; each is whole, gone, or said to be damaged."""
    with deploy("standalone", binary, maxmemory_policy=policy) as deployment:
        (server,) = deployment.servers
        async with open_store(deployment.url, namespace=uuid.uuid4().hex, ttl="1h") as store:
            for number in range(100):
                async with store.batch(f"s{number}", create=True) as batch:
                    batch.append(*(Message.user(f"{n}" * 50) for n in range(10)))
                    batch.append({"event": number}, log="events")
                    batch.state.set("a", "x" * 400)
                    batch.state.add("n", 1)
            used = int(info_of(server, "memory")["used_memory"])
            server.command("CONFIG", "SET", "maxmemory", used - 60_000)
            server.command("SET", "filler", "x" * 100, "EX", 7200)
            report = Report()
            damaged = 0
            for number in range(100):
                try:
                    seen = await store.snapshot(f"s{number}", logs=("messages", "events"), state=True)
                except SessionNotFoundError:
                    report.lost += 1
                except SessionDamagedError:
                    damaged += 1
                else:
                    assert [len(entries) for entries in seen.logs.values()] == [10, 1]
                    assert seen.state == {"a": "x" * 400, "n": 1}
                report.acknowledged += 1
            evicted = int(info_of(server, "stats")["evicted_keys"])

    assert evicted > 0
    assert damaged + report.lost > 0
    note = (
        f"as is said: {evicted} keys were evicted; {damaged} sessions are told to be damaged, none is half"
    )
    record(f"14 eviction by {policy}", "standalone", report, binary=binary, note=note)


def info_of(server: Server, section: str) -> dict[str, str]:
    """What INFO tells."""
    lines = server.command("INFO", section).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


async def test_a_part_that_vanished_on_any_shard_is_damage(deployment: Deployment, record: Record) -> None:
    namespace = uuid.uuid4().hex
    report = Report()
    async with open_store(deployment.url, namespace=namespace) as store:
        for number in range(SESSIONS):
            name = f"s{number}"
            await store.append(name, Message.user("hello"), create=True)
            key = f"{namespace}/thread:{{{namespace}/session:{name}}}"
            assert deployment.owner(key).command("DEL", key) == 1
            with pytest.raises(SessionDamagedError):
                await store.history(name)
            with pytest.raises(SessionDamagedError):
                await store.append(name, Message.user("again"))
            assert await store.delete(name)
            report.acknowledged += 1
    note = "each session is said to be damaged"
    record("14 a part of a session is gone", deployment.topology, report, note=note)
