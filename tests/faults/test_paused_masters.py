"""Fault 7: a master is paused until another one has taken its place, and goes on afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.oracle import Report
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import Server
from miniagent_store.testing.waiting import wait_until
from miniagent_store.testing.workload import Workload
from tests.faults.conftest import Record
from tests.faults.test_killed_masters import ROUNDS, owner_of


def nothing_is_lost(report: Report) -> None:
    """All that was acknowledged is there, once, and what was not is known."""
    report.check()
    assert not report.errors
    assert not report.weak
    assert not report.unknown


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_a_sentinel_master_is_paused_past_the_failover(
    binary: Path, rounds: int, record: Record
) -> None:
    with SentinelGroup(binary) as group:
        for _ in range(rounds):
            async with Workload(group.url, writers=8, replicas="all") as work:
                master = group.master()
                work.start()
                await work.acknowledge(10)
                work.mark()
                master.pause()
                await work.acknowledge(10)
                master.resume()
                await work.acknowledge(10)
                await is_left(master)
                await asyncio.to_thread(group.wait_until_ready)
                await work.acknowledge(10)
                await work.stop()
                report = await work.report(servers=[group.master()])
                assert group.master() is not master
            record("7 SIGSTOP past the failover", "Sentinel, replicas=all", report, binary=binary)
            nothing_is_lost(report)


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_a_cluster_master_is_paused_past_the_failover(
    binary: Path, rounds: int, record: Record
) -> None:
    with ClusterGroup(binary, replicas=2) as group:
        for _ in range(rounds):
            async with Workload(group.url, writers=12, sessions=12, replicas="all") as work:
                master = owner_of(group, work, 0)
                work.start()
                await work.acknowledge(10)
                work.mark()
                master.pause()
                await work.acknowledge(10)
                master.resume()
                await work.acknowledge(10)
                await asyncio.to_thread(group.wait_until_ready)
                await work.acknowledge(10)
                await is_left(master)
                await work.stop()
                report = await work.report(servers=group.masters())
                assert master not in group.masters()
            record("7 SIGSTOP past the failover", "Cluster, replicas=all", report, binary=binary)
            nothing_is_lost(report)


async def is_left(server: Server) -> None:
    """Until no connection is open to a server on which commits were sent."""

    def callers() -> str | None:
        rows = server.command("CLIENT", "LIST", "TYPE", "NORMAL").decode().splitlines()
        ours = [row for row in rows if " cmd=evalsha " in row or " cmd=wait " in row]
        return f"{server} is still called: {ours}" if ours else None

    await asyncio.to_thread(wait_until, callers, 10.0)
