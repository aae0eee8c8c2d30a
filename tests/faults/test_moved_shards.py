"""Faults 6 and 18: slots move and masters hand over, while writers go on and are told of no error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.cluster_nodes import SLOTS
from miniagent_store.testing.oracle import Report
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import Server
from miniagent_store.testing.workload import Workload
from tests.faults.conftest import Record
from tests.faults.test_killed_masters import ROUNDS, owner_of


@pytest.fixture(scope="module")
def cluster(binary: Path) -> Iterator[ClusterGroup]:
    with ClusterGroup(binary) as group:
        yield group


@pytest.fixture(scope="module")
def sentinels(binary: Path) -> Iterator[SentinelGroup]:
    with SentinelGroup(binary) as group:
        yield group


def all_went_well(report: Report) -> None:
    """Each write was acknowledged, once."""
    report.check()
    assert not report.errors
    assert not report.weak
    assert not report.unknown


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_five_hundred_slots_move(
    cluster: ClusterGroup, binary: Path, rounds: int, record: Record
) -> None:
    mix = ("append", "first", "state", "counter", "turn")
    for _ in range(rounds):
        async with Workload(cluster.url, writers=20, sessions=20, mix=mix) as work:
            source = owner_of(cluster, work, 0)
            target = next(server for server in cluster.masters() if server is not source)
            slots = five_hundred_slots(cluster, work, source)
            work.start()
            await work.acknowledge(5)
            work.mark()
            await asyncio.to_thread(cluster.migrate, slots, source, target)
            await work.acknowledge(5)
            await work.stop()
            await asyncio.to_thread(cluster.wait_until_ready)
            assert owner_of(cluster, work, 0) is target
            report = await work.report(servers=cluster.masters())
        record("18 500 slots moved", "Cluster", report, binary=binary)
        all_went_well(report)


def five_hundred_slots(cluster: ClusterGroup, work: Workload, source: Server) -> list[int]:
    """Slots of a master, those of the sessions that are on it spread among them."""
    sessions = {
        cluster.slot_of(f"{work.namespace}/session:{work.session_ids[number]}")
        for number in range(len(work.session_ids))
        if owner_of(cluster, work, number) is source
    }
    others = [slot for slot in cluster.slots_of(source) if slot not in sessions]
    step = 500 // len(sessions)
    slots = others[: 500 - len(sessions)]
    for index, slot in enumerate(sessions):
        slots.insert(index * step, slot)
    assert len(slots) == 500 <= SLOTS
    return slots


@pytest.mark.parametrize("replicas", ["all", 0])
@pytest.mark.parametrize("rounds", ROUNDS)
async def test_masters_of_a_cluster_hand_over(
    cluster: ClusterGroup, binary: Path, rounds: int, replicas: str | int, record: Record
) -> None:
    for _ in range(rounds):
        async with Workload(cluster.url, writers=20, sessions=20, replicas=replicas) as work:
            work.start()
            await work.acknowledge(5)
            work.mark()
            for master in cluster.masters():
                await asyncio.to_thread(cluster.fail_over, master)
            await work.acknowledge(5)
            await work.stop()
            await asyncio.to_thread(cluster.wait_until_ready)
            report = await work.report(servers=cluster.masters())
        record("6 CLUSTER FAILOVER of each shard", f"Cluster, replicas={replicas}", report, binary=binary)
        all_went_well(report)


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_the_master_of_sentinels_hands_over(
    sentinels: SentinelGroup, binary: Path, rounds: int, record: Record
) -> None:
    for _ in range(rounds):
        async with Workload(sentinels.url, writers=8, replicas="all") as work:
            work.start()
            await work.acknowledge(5)
            work.mark()
            await asyncio.to_thread(sentinels.fail_over)
            await work.acknowledge(5)
            await work.stop()
            await asyncio.to_thread(sentinels.wait_until_ready)
            report = await work.report(servers=[sentinels.master()])
        record("6 SENTINEL FAILOVER", "Sentinel, replicas=all", report, binary=binary)
        all_went_well(report)
