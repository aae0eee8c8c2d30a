"""Faults 8 and 19: a shard that is away, start-up nodes that are gone, a master that comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from miniagent_store import BackendUnavailableError, Message, OutcomeUnknownError, open_store
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.conformance import eventually
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.workload import Workload
from tests.faults.conftest import Record
from tests.faults.deployments import Deployment, of_cluster, of_sentinel

DURABLE = {"appendonly": "yes", "appendfsync": "always"}
DEADLINE = 2.0
# Milliseconds: no one takes over before the master is back.
PATIENT = 30_000


async def test_the_other_shards_go_on_without_one(binary: Path, record: Record) -> None:
    sessions = 12
    with ClusterGroup(binary, replicas=0, config=DURABLE) as cluster:
        async with Workload(
            cluster.url, sessions=sessions, writers=sessions, deadline=DEADLINE, writers_per_store=sessions
        ) as work:
            owners = [
                cluster.owner(cluster.slot_of(f"{work.namespace}/session:{name}"))
                for name in work.session_ids
            ]
            lost = owners[0]
            alive = [writer for writer in range(sessions) if owners[writer] is not lost]
            assert alive
            work.start()
            await work.acknowledge(3)
            work.mark()
            await asyncio.to_thread(lost.kill)
            with pytest.raises((BackendUnavailableError, OutcomeUnknownError)):
                await work.stores[0].append(work.session_ids[0], Message.user("to no one"))
            before = len(work.attempts)

            def others_go_on(work: Workload = work, before: int = before) -> bool:
                done = {attempt.writer for attempt in work.attempts[before:] if attempt.error is None}
                return done == set(alive)

            await eventually(others_go_on)
            await asyncio.to_thread(lost.start)
            await asyncio.to_thread(cluster.wait_until_ready)
            await work.acknowledge(3)
            await work.stop()
            report = await work.report()

    record("19 shard without a replica away", "cluster, appendfsync=always", report, binary=binary)
    # The message to no one may have come through: its writer has not asked again.
    report.problems = [each for each in report.problems if "to no one" not in each]
    report.check()
    # Shorter than those whose shard is away wait: nobody waits for them.
    assert max(report.gaps[writer] for writer in alive) < DEADLINE, report.gaps


async def test_all_start_up_nodes_may_go_once_others_have_taken_over(binary: Path, record: Record) -> None:
    with ClusterGroup(binary) as cluster:
        first = cluster.masters()
        async with Workload(cluster.url, sessions=12, writers=12) as work:
            work.start()
            await work.acknowledge(3)
            work.mark()
            for master in first:
                await asyncio.to_thread(cluster.fail_over, master)
                await asyncio.to_thread(cluster.wait_until_ready)
                await asyncio.to_thread(master.kill)
                await work.acknowledge(1)
            await work.acknowledge(3)
            await work.stop()
            report = await work.report(work.stores[0], servers=cluster.masters())
            # One that starts now has no one to ask.
            with pytest.raises(BackendUnavailableError):
                async with open_store(cluster.url, namespace=work.namespace) as store:
                    await store.get(work.session_ids[0])
    record("19 all start-up nodes gone after a failover", "cluster", report, binary=binary)
    report.check()
    assert not report.errors
    assert not report.unknown


@contextmanager
def patient(topology: str, binary: Path, **config: str) -> Iterator[Deployment]:
    """Servers of which none takes another one's place soon."""
    if topology == "sentinel":
        with SentinelGroup(binary, down_after_ms=PATIENT, config=config) as group:
            yield of_sentinel(group, binary)
    else:
        with ClusterGroup(binary, node_timeout_ms=PATIENT, config=config) as cluster:
            yield of_cluster(cluster, binary)


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "without persistence"])
@pytest.mark.parametrize("topology", ["sentinel", pytest.param("cluster", marks=pytest.mark.slow)])
async def test_a_master_comes_back_before_anyone_takes_over(
    binary: Path, topology: str, durable: bool, record: Record
) -> None:
    """With its data nothing is lost; empty, it empties its replicas too, in spite of what they have."""
    with patient(topology, binary, **(DURABLE if durable else {})) as deployment:
        async with Workload(deployment.url, replicas="all") as work:
            store = work.stores[0]
            key = f"{work.namespace}/session:{work.session_ids[0]}"
            master = deployment.owner(key)
            work.start()
            await work.acknowledge(3)
            work.mark()
            if not durable:
                await work.stop()
            await asyncio.to_thread(master.kill)
            await asyncio.to_thread(master.start)
            if durable:
                await work.acknowledge(3)
                await work.stop()
                report = await work.report(servers=deployment.masters())
            else:
                report = await work.report(store)

    on = f"{topology}, replicas=all, " + ("appendfsync=always" if durable else "no persistence")
    note = "" if durable else "as is said: who may come back empty must not come back at once"
    record("8 master killed and back at once", on, report, binary=binary, note=note)
    if durable:
        report.check()
    else:
        assert report.lost > 0
        assert not report.doubled
