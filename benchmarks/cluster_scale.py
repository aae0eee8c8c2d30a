"""What a Cluster of 1, 2 and 3 shards carries: commits a second, and what each costs the servers.

Client processes append turns (2 messages of 400 B) for a few seconds, 64 tasks each over sessions of their
own, in interleaved rounds over clusters that all run; told are medians. The servers' CPU is that of the
whole processes, by their INFO. On a machine whose cores the clients need themselves, throughput says less
than the CPU a commit: its reciprocal is what a shard carries that has a core of its own.

Commands to a session's own keys are counted by MONITOR in a run of their own: one a commit. What tells
listings and sweeps of a session, at most once a second, is counted in the rounds: all scripts less commits.

Run: ``python benchmarks/cluster_scale.py [--shards 1 2 3] [--processes 2] [--seconds 4] [--rounds 3]
[--json FILE]``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from recorded import server_version, write
from server_meter import Meter
from text_table import number, text_table

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.servers import HOST, Server

TASKS = 64
TEXT = "x" * 370
PATIENCE = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Load:
    """What one process did.

    Attributes:
        commits: how many.
        cpu: microseconds of its CPU a commit.
        p50, p99: milliseconds of a commit.
    """

    commits: int
    cpu: float
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Scale:
    """What a number of shards carried.

    Attributes:
        shards: how many.
        rate: commits a second.
        server_cpu: microseconds of all servers a commit.
        busiest: the part of all commits that one shard had.
        bus: messages a commit that nodes sent each other for subscribers.
        commands: a commit, to the session's own keys.
        notes: scripts a session and second beside them.
        client_cpu: microseconds of the clients a commit.
        p50, p99: milliseconds of a commit.
    """

    shards: int
    rate: float
    server_cpu: float
    busiest: float
    bus: float
    commands: float
    notes: float
    client_cpu: float
    p50: float
    p99: float


def serve_load(
    url: str, process: int, seconds: float, gates: tuple[Barrier, Barrier], told: Queue[Load]
) -> None:
    """One client process: warm up, wait for the others, append for some seconds."""
    asyncio.run(_serve_load(url, process, seconds, gates, told))


async def _serve_load(
    url: str, process: int, seconds: float, gates: tuple[Barrier, Barrier], told: Queue[Load]
) -> None:
    question, answer = Message.user(TEXT), Message.assistant(TEXT)
    took: list[float] = []

    async def one(store: SessionStore, name: str, until: float) -> None:
        while (started := time.perf_counter()) < until:
            await store.append(name, question, answer)
            took.append(time.perf_counter() - started)

    async with open_store(f"{url}?ttl=1h") as store:
        names = [f"load-{process}-{task}-{time.time_ns()}" for task in range(TASKS)]
        await asyncio.gather(*(store.append(name, question, create=True) for name in names))
        soon = time.perf_counter() + 0.3
        await asyncio.gather(*(one(store, name, soon) for name in names))
        took.clear()
        # Nothing else is to run in this process meanwhile.
        gates[0].wait(PATIENCE)
        cpu, until = time.process_time(), time.perf_counter() + seconds
        await asyncio.gather(*(one(store, name, until) for name in names))
        cpu = time.process_time() - cpu
        gates[1].wait(PATIENCE)
        await asyncio.gather(*(store.delete(name) for name in names))
    cuts = statistics.quantiles(took, n=100)
    told.put(Load(len(took), cpu / len(took) * 1e6, cuts[49] * 1e3, cuts[98] * 1e3))


def run_load(group: ClusterGroup, processes: int, seconds: float) -> dict[str, float]:
    """One round on one cluster."""
    context = multiprocessing.get_context("spawn")
    gates = context.Barrier(processes + 1), context.Barrier(processes + 1)
    told: Queue[Load] = context.Queue()
    children = [
        context.Process(target=serve_load, args=(group.url, each, seconds, gates, told), daemon=True)
        for each in range(processes)
    ]
    for child in children:
        child.start()
    meters = [Meter(server) for server in group.servers]
    gates[0].wait(PATIENCE)
    bus = _bus_messages(group.servers)
    for meter in meters:
        meter.start()
    gates[1].wait(PATIENCE)
    spent = [meter.stop() for meter in meters]
    bus = _bus_messages(group.servers) - bus
    loads = [told.get(timeout=PATIENCE) for _ in children]
    for child in children:
        child.join()
    commits = sum(load.commits for load in loads)
    pushes = [each.calls["rpush"] + each.calls["rpushx"] for each in spent]
    return {
        "rate": commits / seconds,
        "server_cpu": sum(each.cpu for each in spent) / commits,
        "busiest": max(pushes) / sum(pushes),
        "bus": bus / commits,
        "notes": (sum(each.calls["evalsha"] for each in spent) - commits) / (processes * TASKS) / seconds,
        "client_cpu": statistics.mean(load.cpu for load in loads),
        "p50": statistics.mean(load.p50 for load in loads),
        "p99": statistics.mean(load.p99 for load in loads),
    }


def _bus_messages(servers: Sequence[Server]) -> int:
    """How many messages for subscribers the nodes have sent each other."""
    found = 0
    for server in servers:
        lines = server.command("CLUSTER", "INFO").decode().splitlines()
        for name, _, value in (line.partition(":") for line in lines):
            if name in ("cluster_stats_messages_publish_sent", "cluster_stats_messages_publishshard_sent"):
                found += int(value)
    return found


async def count_commands(group: ClusterGroup, commits: int = 30) -> float:
    """Commands a commit to the session's keys."""
    question, answer = Message.user(TEXT), Message.assistant(TEXT)
    names = [f"counted-{task}" for task in range(TASKS)]

    async def one(store: SessionStore, name: str) -> None:
        for _ in range(commits):
            await store.append(name, question, answer)

    seen: Counter[str] = Counter()
    async with open_store(f"{group.url}?ttl=1h") as store:
        await asyncio.gather(*(store.append(name, question, create=True) for name in names))
        watches = [asyncio.create_task(_monitor(server.port or 0, seen)) for server in group.servers]
        await asyncio.sleep(0.2)
        await asyncio.gather(*(one(store, name) for name in names))
        await asyncio.sleep(0.2)
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
    return seen["session"] / (commits * TASKS)


async def _monitor(port: int, seen: Counter[str]) -> None:
    """Count the scripts that clients send, by what their first key starts with."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=2**20)
    try:
        writer.write(b"MONITOR\r\n")
        await reader.readline()
        async for line in reader:
            head, _, command = line.partition(b"] ")
            words = re.findall(rb'"((?:[^"\\]|\\.)*)"', command[:400])
            if not head.endswith(b" lua") and words and words[0].upper().startswith(b"EVAL"):
                seen[words[3].partition(b":")[0].decode()] += 1
    finally:
        writer.close()


def measure(shards: Sequence[int], processes: int, seconds: float, rounds: int) -> tuple[str, list[Scale]]:
    """All clusters, in interleaved rounds; the servers' version as well."""
    with contextlib.ExitStack() as stack:
        groups = {
            each: stack.enter_context(ClusterGroup(masters=each, replicas=0, node_timeout_ms=15_000))
            for each in shards
        }
        seen: dict[int, list[dict[str, float]]] = {each: [] for each in shards}
        for _ in range(rounds):
            for each, group in groups.items():
                seen[each].append(run_load(group, processes, seconds))
        counted = {each: asyncio.run(count_commands(group)) for each, group in groups.items()}
        version = server_version(next(iter(groups.values())).servers[0])
    return version, [
        Scale(
            shards=each,
            commands=counted[each],
            **{name: statistics.median(run[name] for run in runs) for name in runs[0]},
        )
        for each, runs in seen.items()
    ]


HEADS = [
    "shards",
    "commits/s",
    "server CPU µs a commit",
    "a shard with a core of its own, commits/s",
    "busiest shard",
    "commands a commit",
    "notes a session and s",
    "bus messages a commit",
    "client CPU µs",
    "p50 ms",
    "p99 ms",
]


def rows(scales: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """What `HEADS` name, a cluster a row."""
    for scale in scales:
        yield [
            str(scale["shards"]),
            number(scale["rate"]),
            number(scale["server_cpu"], 1),
            number(1e6 / scale["server_cpu"]),
            f"{scale['busiest']:.0%}",
            number(scale["commands"], 3),
            number(scale["notes"], 2),
            number(scale["bus"], 2),
            number(scale["client_cpu"], 1),
            number(scale["p50"], 2),
            number(scale["p99"], 2),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--processes", type=int, default=2, help="of clients")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    given = parser.parse_args()
    version, found = measure(given.shards, given.processes, given.seconds, given.rounds)
    scales = [asdict(each) for each in found]
    print(text_table(HEADS, list(rows(scales))))
    if given.json is not None:
        write(given.json, version, {"processes": given.processes, "tasks": TASKS, "scales": scales})


if __name__ == "__main__":
    main()
