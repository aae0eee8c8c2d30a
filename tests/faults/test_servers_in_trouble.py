"""Faults 9, 11 and 13: servers that stop for a while, take no writes, forget scripts or are busy."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from miniagent_store import Message, open_store
from miniagent_store.testing.oracle import Report
from miniagent_store.testing.servers import CommandError, Server, free_port
from tests.faults.conftest import Record
from tests.faults.deployments import Deployment, deploy
from tests.faults.disturbing import disturb, tell_all

Trouble = Callable[[Deployment], Awaitable[object]]
# Seconds that a trouble lasts: longer than a reply takes, shorter than a caller's deadline.
WHILE = 0.6


def unharmed(report: Report) -> None:
    """Nothing is lost, and no caller was told of any trouble."""
    report.check()
    assert not report.errors, report
    assert not report.unknown, report


async def kill_clients(deployment: Deployment) -> None:
    killed = 0
    for _ in range(20):
        killed += sum(await tell_all(deployment, "CLIENT", "KILL", "TYPE", "normal"))
        await asyncio.sleep(0.02)
    assert killed > 20


async def pause_clients(deployment: Deployment) -> None:
    await tell_all(deployment, "CLIENT", "PAUSE", int(WHILE * 1000), "ALL")


async def pause_writes(deployment: Deployment) -> None:
    await tell_all(deployment, "CLIENT", "PAUSE", int(WHILE * 1000), "WRITE")


async def sleep(deployment: Deployment) -> None:
    await tell_all(deployment, "DEBUG", "SLEEP", str(WHILE))


async def stop_processes(deployment: Deployment) -> None:
    for master in deployment.masters():
        master.pause()
    await asyncio.sleep(WHILE)  # how long they stand still
    for server in deployment.servers:
        server.resume()


async def flush_scripts(deployment: Deployment) -> None:
    for _ in range(60):
        await tell_all(deployment, "SCRIPT", "FLUSH")
        await asyncio.sleep(0.005)
    for told in await tell_all(deployment, "INFO", "errorstats"):
        assert b"errorstat_NOSCRIPT" in told


async def be_busy(deployment: Deployment) -> None:
    """A script that does not end, until it is killed."""
    # Asked for now: while they are busy no one can say who they are.
    masters = deployment.masters()

    async def run_one(master: Server) -> None:
        with pytest.raises(CommandError, match="killed"):
            await asyncio.to_thread(master.command, "EVAL", "while true do end", 0, timeout=30)

    for master in masters:
        master.command("CONFIG", "SET", "busy-reply-threshold", 50)
    running = [asyncio.create_task(run_one(master)) for master in masters]
    await asyncio.sleep(WHILE)  # how long it runs
    for master in masters:
        master.command("SCRIPT", "KILL")
    await asyncio.gather(*running)
    for master in masters:
        master.command("CONFIG", "SET", "busy-reply-threshold", 5000)


async def want_replicas(deployment: Deployment) -> None:
    await tell_all(deployment, "CONFIG", "SET", "min-replicas-to-write", 5)
    await asyncio.sleep(WHILE)  # how long no write is taken
    await tell_all(deployment, "CONFIG", "SET", "min-replicas-to-write", 0)


TROUBLES: dict[str, Trouble] = {
    "9 CLIENT KILL, 20 times": kill_clients,
    "9 CLIENT PAUSE ALL": pause_clients,
    "9 CLIENT PAUSE WRITE": pause_writes,
    "9 DEBUG SLEEP": sleep,
    "9 SIGSTOP for a while": stop_processes,
    "11 NOREPLICAS for a while": want_replicas,
    "13 SCRIPT FLUSH, 60 times": flush_scripts,
    "13 BUSY until SCRIPT KILL": be_busy,
}


# Which tell the same as another one: with the full counts only.
ALIKE = {"9 CLIENT PAUSE WRITE", "9 DEBUG SLEEP"}


@pytest.mark.parametrize(
    "trouble", [pytest.param(name, marks=pytest.mark.slow if name in ALIKE else []) for name in TROUBLES]
)
async def test_callers_do_not_hear_of_a_short_trouble(
    deployment: Deployment, trouble: str, record: Record
) -> None:
    async def cause() -> None:
        await TROUBLES[trouble](deployment)

    report = await disturb(deployment, cause)

    record(trouble, deployment.topology, report, binary=deployment.binary)
    unharmed(report)
    assert report.recovery is not None
    if "times" not in trouble:
        assert report.recovery > WHILE / 2


async def test_a_server_that_is_a_replica_for_a_while_is_waited_for(binary: Path, record: Record) -> None:
    with deploy("standalone", binary) as deployment:
        (server,) = deployment.servers

        async def be_a_replica() -> None:
            # Of no one: it keeps what it has, and takes no writes.
            await tell_all(deployment, "REPLICAOF", "127.0.0.1", free_port())
            await asyncio.sleep(WHILE)  # how long
            await tell_all(deployment, "REPLICAOF", "NO", "ONE")

        report = await disturb(deployment, be_a_replica)
        assert b"role:master" in server.command("INFO", "replication")

    record("11 READONLY for a while", "standalone", report, binary=binary)
    unharmed(report)


async def test_scripts_are_forgotten_between_the_commands_of_a_shared_write(
    deployment: Deployment, record: Record
) -> None:
    namespace = uuid.uuid4().hex
    async with open_store(deployment.url, namespace=namespace) as store:
        for number in range(16):
            await store.create(f"s{number}")
        for turn in range(10):
            forgetting = asyncio.create_task(tell_all(deployment, "SCRIPT", "FLUSH"))
            await asyncio.gather(
                *(store.append(f"s{n % 16}", Message.user(f"{turn}/{n}")) for n in range(128)), forgetting
            )
        stored = [message.content for n in range(16) for message in await store.history(f"s{n}")]

    report = Report(acknowledged=10 * 128, lost=10 * 128 - len(set(stored)))
    report.doubled = len(stored) - len(set(stored))
    record("13 SCRIPT FLUSH in a shared write", deployment.topology, report, binary=deployment.binary)
    report.check()
