"""Faults 3 and 4: a master is killed under writers, also while its replicas lag behind."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import Server
from miniagent_store.testing.waiting import wait_until
from miniagent_store.testing.workload import Workload
from tests.faults.conftest import Record
from tests.faults.disturbing import in_thread

# Seconds after which a server that is silent is taken as down.
DETECTION = 1.0
# Seconds more that are granted where other tests run at the same time, as they do but for the slow ones.
BESIDE_OTHERS = 1.5
ROUNDS = [1, pytest.param(10, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_a_sentinel_master_is_killed_behind_stalled_links(
    binary: Path, rounds: int, record: Record
) -> None:
    with SentinelGroup(binary, down_after_ms=int(DETECTION * 1000)) as group:
        for _ in range(rounds):
            async with (
                Workload(group.url, writers=8, replicas="all") as work,
                in_thread(group.stallable_replication()) as stall,
            ):
                master = group.master()
                work.start()
                await work.acknowledge(10)
                stall()
                await asyncio.sleep(0.4)  # the links are up and stalled for so long
                work.mark()
                began = time.monotonic()
                await asyncio.to_thread(master.kill)
                await asyncio.to_thread(wait_until, lambda: lacks_verdict(group), 30.0)
                detection = time.monotonic() - began
                await work.acknowledge(10)
                await work.stop()
                await asyncio.to_thread(group.wait_until_ready)
                report = await work.report(servers=[group.master()])
            record("4 replication stalled, then SIGKILL", "Sentinel, replicas=all", report, binary=binary)

            report.check()
            assert not report.errors
            assert not report.weak
            assert not report.unknown
            assert report.recovery is not None
            assert report.recovery <= detection + 1.5 + granted(rounds)
            await asyncio.to_thread(master.start)
            await asyncio.to_thread(group.wait_until_ready)


def lacks_verdict(group: SentinelGroup) -> str | None:
    """Whether the sentinels have not agreed yet that the master is down."""
    for sentinel in group.sentinels:
        row = sentinel.command("SENTINEL", "MASTER", group.name)
        if b"o_down" in row[row.index(b"flags") + 1]:
            return None
    return "no sentinel takes the master as down"


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_one_of_three_masters_is_killed(binary: Path, rounds: int, record: Record) -> None:
    with ClusterGroup(binary, node_timeout_ms=int(DETECTION * 1000)) as group:
        for _ in range(rounds):
            async with Workload(group.url, writers=20, sessions=20) as work:
                master = owner_of(group, work, 0)
                struck = {writer for writer in range(20) if owner_of(group, work, writer) is master}
                work.start()
                await work.acknowledge(10)
                work.mark()
                await asyncio.to_thread(master.kill)
                await work.acknowledge(10)
                await work.stop()
                await asyncio.to_thread(group.wait_until_ready)
                report = await work.report(servers=group.masters())
            note = "without replicas=, what the replica had not got yet is lost" if report.lost else ""
            record("3 SIGKILL of one master of three", "Cluster", report, binary=binary, note=note)

            report.check(lost=report.acknowledged)
            assert not report.errors
            assert not report.unknown
            live = [gap for writer, gap in report.gaps.items() if writer not in struck]
            assert live
            assert max(live) < 0.5 + granted(rounds)
            assert report.recovery is not None
            assert report.recovery <= DETECTION + 2.5 + granted(rounds)
            await asyncio.to_thread(master.start)
            await asyncio.to_thread(group.wait_until_ready)


def granted(rounds: int) -> float:
    """Seconds more than promised that a round may take."""
    return BESIDE_OTHERS if rounds == 1 else 0.0


def owner_of(group: ClusterGroup, work: Workload, session: int) -> Server:
    """The master that has a session of a workload."""
    return group.owner(group.slot_of(f"{work.namespace}/session:{work.session_ids[session]}"))
