"""Random faults on a Cluster under fifty sessions, for as long as is said; then: was anything lost?

Run: ``python benchmarks/soak.py MINUTES [--seed N] [--server NAME] [--replicas all|N]``. It starts nodes of
its own: three masters and their replicas. In rounds of half a minute writers work on sessions while
nodes are killed and started again, stopped for a while, failed over, connections are cut and scripts
forgotten; with ``--move-slots`` slots are moved too, after which a Cluster may lose one when a master dies.
At the end of a round, when the cluster is well again, what the writers were told is compared with what is
stored; memory and open sockets of this process are noted. The stores stay open all the time.

The exit code is 1 if anything acknowledged is lost (which ``--replicas 0`` allows), done twice or otherwise
wrong, or if memory or sockets grow; 2 if the cluster itself did not recover from a fault.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import random
import statistics
import sys
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from miniagent_store import SessionStore, open_store
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.cluster_nodes import nodes_known_to
from miniagent_store.testing.oracle import Report
from miniagent_store.testing.servers import Server, ServerError, find_servers
from miniagent_store.testing.waiting import wait_until
from miniagent_store.testing.workload import Workload

SESSIONS, STORES = 50, 5
ROUND_SECONDS = 30.0
NODE_TIMEOUT_MS = 1000
# Seconds between two commits of a writer.
PAUSE = 0.1
SLOTS_MOVED = 40
# Rounds whose memory says nothing yet, and how many there must be besides to speak of growth.
WARM_UP, ENOUGH = 2, 4
# What may be more at the end by the fitted line: a share of the memory, bytes, and sockets.
GROWTH, GROWTH_BYTES, GROWTH_SOCKETS = 0.10, 8 * 2**20, 6


@dataclass(slots=True)
class Sample:
    """Of this process at the end of a round.

    Attributes:
        at: seconds since the start.
        memory: resident bytes.
        sockets: how many are open.
    """

    at: float
    memory: int
    sockets: int


@dataclass(slots=True)
class Soak:
    """What has been seen so far."""

    total: Report = field(default_factory=Report)
    faults: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    slowest: float = 0.0

    def add(self, report: Report) -> None:
        """Add the report of a round."""
        self.total.acknowledged += report.acknowledged
        self.total.lost += report.lost
        self.total.doubled += report.doubled
        self.total.unknown += report.unknown
        self.total.weak += report.weak
        self.total.errors += report.errors
        self.total.problems += report.problems
        self.total.longest_gap = max(self.total.longest_gap, report.longest_gap)
        self.slowest = max(self.slowest, *report.gaps.values())


class ClusterUnwellError(Exception):
    """The servers did not agree again: that is no fault of the store, and nothing can be judged."""


# Faults: each leaves a cluster that is going to be well again by itself.


class Faults:
    """What is done to a cluster.

    Args:
        cluster: it runs.
        chance: decides.
        moves: whether slots are moved too.
    """

    def __init__(self, cluster: ClusterGroup, chance: random.Random, *, moves: bool) -> None:
        self._cluster, self._chance = cluster, chance
        self.all: dict[str, Callable[[], Awaitable[None]]] = {
            "node killed and started again": self.kill,
            "node stopped for a while": self.stop,
            "CLUSTER FAILOVER": self.fail_over,
            "SCRIPT FLUSH": self.forget_scripts,
            "CLIENT KILL": self.cut,
        }
        if moves:
            self.all["slots moved and back"] = self.move_slots

    def _any(self, servers: Sequence[Server]) -> Server:
        return self._chance.choice(servers)

    async def kill(self) -> None:
        """Without its data a master must not come back before its replica has taken over."""
        node = self._any(self._cluster.servers)
        was_master = node in await asyncio.to_thread(self._cluster.masters)
        before = len(await asyncio.to_thread(self._cluster.masters))
        await asyncio.to_thread(node.kill)
        if was_master:
            await asyncio.to_thread(wait_until, lambda: self._lacks_masters(before), 60.0)
        await asyncio.sleep(self._chance.uniform(0, 1))
        await asyncio.to_thread(node.start)

    def _lacks_masters(self, wanted: int) -> str | None:
        try:
            there = len(self._cluster.masters())
        except (ServerError, OSError) as error:
            return str(error)
        return None if there == wanted else f"{there} masters instead of {wanted}"

    async def stop(self) -> None:
        """Sometimes for so long that its replica takes over."""
        node = self._any(self._cluster.servers)
        node.pause()
        await asyncio.sleep(self._chance.uniform(0.1, 3 * NODE_TIMEOUT_MS / 1000))
        node.resume()

    async def fail_over(self) -> None:
        master = self._any(await asyncio.to_thread(self._cluster.masters))
        await asyncio.to_thread(self._cluster.fail_over, master)

    async def move_slots(self) -> None:
        source, target = self._chance.sample(await asyncio.to_thread(self._cluster.masters), 2)
        known = await asyncio.to_thread(nodes_known_to, source)
        owned = sorted(slot for node in known if node.is_myself for slot in node.slots)
        slots = self._chance.sample(owned, min(len(owned), SLOTS_MOVED))
        await asyncio.to_thread(self._cluster.migrate, slots, source, target)
        # And back: a map of many small ranges would take more memory, and say nothing of ours.
        await asyncio.to_thread(self._cluster.migrate, slots, target, source)
        # Replicas hear of it by gossip; were a master to die before, no one would have these slots.
        await asyncio.sleep(2 * NODE_TIMEOUT_MS / 1000)

    async def forget_scripts(self) -> None:
        for master in await asyncio.to_thread(self._cluster.masters):
            await asyncio.to_thread(master.command, "SCRIPT", "FLUSH")

    async def cut(self) -> None:
        for master in await asyncio.to_thread(self._cluster.masters):
            await asyncio.to_thread(master.command, "CLIENT", "KILL", "TYPE", "normal")


# Rounds


async def soak(
    cluster: ClusterGroup, minutes: float, replicas: str, chance: random.Random, *, moves: bool
) -> Soak:
    """Rounds until the time is over.

    Args:
        cluster: it runs.
        minutes: how long.
        replicas: as the store's option.
        chance: decides which fault comes when.
        moves: whether slots are moved too.
    """
    faults = Faults(cluster, chance, moves=moves).all
    seen, began = Soak(), time.monotonic()
    end = began + minutes * 60
    options = {"namespace": uuid.uuid4().hex, "replicas": replicas, "ttl": "1h"}
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(open_store(cluster.url, **options)) for _ in range(STORES)
        ]
        progress = stack.enter_context(Progress(*columns))
        bar = progress.add_task("starting", total=minutes * 60)

        def tell(what: str) -> None:
            elapsed = min(time.monotonic() - began, minutes * 60)
            told = f"{seen.total.acknowledged:,} commits, {seen.total.lost} lost · {what}"
            progress.update(bar, completed=elapsed, description=told)

        while time.monotonic() < end:
            until = min(end, time.monotonic() + ROUND_SECONDS)
            await one_round(cluster, stores, options, until, chance, faults, seen, tell)
            gc.collect()
            seen.samples.append(Sample(time.monotonic() - began, resident_bytes(), open_sockets()))
    return seen


async def one_round(
    cluster: ClusterGroup,
    stores: Sequence[SessionStore],
    options: dict[str, str],
    until: float,
    chance: random.Random,
    faults: dict[str, Callable[[], Awaitable[None]]],
    seen: Soak,
    tell: Callable[[str], None],
) -> None:
    """Writers on sessions of this round, and faults one after the other."""
    async with Workload(
        cluster.url,
        sessions=SESSIONS,
        writers=SESSIONS,
        writers_per_store=SESSIONS // STORES,
        mix=("append", "turn", "state", "counter"),
        pause=PAUSE,
        stores=stores,
        **options,
    ) as work:
        work.start()
        while time.monotonic() < until:
            what = chance.choice(sorted(faults))
            tell(what)
            await faults[what]()
            seen.faults[what] += 1
            try:
                await asyncio.to_thread(cluster.wait_until_ready)
            except TimeoutError as error:
                raise ClusterUnwellError(f"after {what!r}: {error}") from None
            await asyncio.sleep(chance.uniform(0.2, 1.5))
        await work.acknowledge(1)
        await work.stop()
        tell("comparing")
        seen.add(await work.report(stores[0], servers=cluster.masters()))
        for session_id in work.session_ids:
            await stores[0].delete(session_id)


# This process


def resident_bytes() -> int:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except OSError:  # the folder's own, closed by now
            continue
    return count


def growth(samples: Sequence[Sample], of: Callable[[Sample], float]) -> float | None:
    """By how much something has grown from the first sample to the last, by a line through all of them."""
    told = samples[WARM_UP:]
    if len(told) < ENOUGH:
        return None
    slope = statistics.linear_regression([each.at for each in told], [of(each) for each in told]).slope
    return slope * (told[-1].at - told[0].at)


# The end


def conclude(seen: Soak, *, may_lose: bool) -> bool:
    """Print what was seen; whether it is as it must be."""
    print(f"{seen.total}, longest gap of one writer {seen.slowest:.2f} s")
    print("faults: " + ", ".join(f"{count} × {what}" for what, count in seen.faults.most_common()))
    problems = list(dict.fromkeys(seen.total.problems))
    # A server that is away is what this is about; other refusals have no reason.
    strange = [each.error for each in seen.total.errors if each.error and not each.error.retryable]
    problems += {type(error): f"{type(error).__name__}: {error}" for error in strange}.values()
    if seen.total.lost and not may_lose:
        problems.append(f"{seen.total.lost} acknowledged commits are lost")
    if seen.total.doubled:
        problems.append(f"{seen.total.doubled} commits were done twice")
    memory = growth(seen.samples, lambda each: each.memory)
    sockets = growth(seen.samples, lambda each: each.sockets)
    first, last = seen.samples[0], seen.samples[-1]
    print(
        f"memory: {first.memory / 2**20:.1f} MiB after round 1, {last.memory / 2**20:.1f} at the end; "
        f"sockets: {first.sockets} and {last.sockets}"
    )
    if memory is None or sockets is None:
        print(f"too few rounds to speak of growth: it takes {WARM_UP + ENOUGH}")
    else:
        print(f"by the fitted line: memory {memory / 2**20:+.1f} MiB, sockets {sockets:+.1f}")
        if memory > max(GROWTH * first.memory, GROWTH_BYTES):
            problems.append("memory grows")
        if sockets > GROWTH_SOCKETS:
            problems.append("open sockets grow")
    for problem in problems[:20]:
        print(f"WRONG: {problem}")
    return not problems


def main() -> int:
    """Run it as the command line says."""
    servers = find_servers()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--server", choices=sorted(servers), default=next(iter(servers), None))
    parser.add_argument("--replicas", default="all")
    parser.add_argument("--move-slots", action="store_true")
    given = parser.parse_args()
    # Thousands of connections are going to be lost.
    logging.getLogger("miniagent_store").setLevel(logging.ERROR)
    print(f"seed {given.seed}, server {given.server}, replicas={given.replicas}")
    with ClusterGroup(servers[given.server], node_timeout_ms=NODE_TIMEOUT_MS) as cluster:
        try:
            chance = random.Random(given.seed)
            seen = asyncio.run(soak(cluster, given.minutes, given.replicas, chance, moves=given.move_slots))
        except ClusterUnwellError as error:
            print(f"the cluster itself was not well again {error}; try another seed")
            return 2
    return 0 if conclude(seen, may_lose=given.replicas == "0") else 1


if __name__ == "__main__":
    sys.exit(main())
