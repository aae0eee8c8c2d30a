"""Fifty wait for a lock: served in order, each at once, and nobody else is woken."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from miniagent_backends.sqlite.backend import SqliteBackend
from miniagent_store import Message, SessionStore, open_store
from miniagent_store.backend import Backend, LeaseRequest
from miniagent_store.testing.conformance import backend_of, eventually
from miniagent_store.testing.conformance.locks import stands_in_line
from miniagent_store.testing.proxy import Action
from miniagent_store.testing.servers import Server
from tests.faults.deployments import Deployment

WAITERS, FEW = 50, 10
# What a hand-over sends: a script that releases, one that takes, and no longer to be told.
COMMANDS = {"evalsha": 2, "sunsubscribe": 1, "ssubscribe": 0}
# Seconds that a link takes each way: with less, what a hand-over takes is this process's own work.
LINK = 0.002


@dataclass
class Relay:
    """Who had the lock, and how long each hand-over took."""

    served: list[int] = field(default_factory=list)
    let_go: float = 0.0
    hand_overs: list[float] = field(default_factory=list)

    async def run(self, store: SessionStore, number: int) -> None:
        """Wait for the lock, and hand it over at once."""
        async with store.lock("job", wait=120):
            self.hand_overs.append(time.perf_counter() - self.let_go)
            self.served.append(number)
            self.let_go = time.perf_counter()

    async def pass_on(self, stores: Sequence[SessionStore]) -> None:
        """Let all stand in line behind a holder that lets go then."""
        async with stores[0].lock("job", ttl=60):
            waiting = []
            for number, store in enumerate(stores):
                waiting.append(asyncio.create_task(self.run(store, number)))
                await eventually(lambda: stands_in_line(stores[0], "job", len(waiting)))
            # Until the last one has asked again, now that it would be woken.
            await asyncio.sleep(0.1)
            self.began()
            self.let_go = time.perf_counter()
        await asyncio.gather(*waiting)

    def began(self) -> None:
        """All stand in line."""


@dataclass
class CountedRelay(Relay):
    """With the commands that the servers were sent meanwhile."""

    servers: Sequence[Server] = ()
    before: Counter[str] = field(default_factory=Counter)

    def began(self) -> None:
        self.before = commands(self.servers)

    async def commands(self) -> Counter[str]:
        # What nobody waits for is done, too.
        await asyncio.sleep(0.2)
        return commands(self.servers) - self.before


@asynccontextmanager
async def opened(url: str, count: int, **options: Any) -> AsyncIterator[Sequence[SessionStore]]:
    """Stores with connections of their own."""
    stores = [open_store(url, **options) for _ in range(count)]
    try:
        # One by one: together, on a busy machine, some would hear of their servers too late.
        for store in stores:
            await store.open()
        yield stores
    finally:
        await asyncio.gather(*(store.close() for store in stores))


@pytest.mark.parametrize("shared", [False, True], ids=["stores", "tasks"])
async def test_waiters_are_served_in_order_and_nobody_else_is_woken(
    deployment: Deployment, shared: bool
) -> None:
    async with opened(deployment.url, 1 if shared else WAITERS, namespace=uuid.uuid4().hex) as stores:
        counted = {}
        for number in (FEW, WAITERS):
            relay = CountedRelay(servers=deployment.servers)
            await relay.pass_on(stores * number if shared else stores[:number])
            counted[number] = await relay.commands()
            assert relay.served == list(range(number))
        trip = await round_trip(backend_of(stores[0]))
    hand_over = median(relay.hand_overs)
    each = {name: [round(calls[name] / n, 1) for n, calls in counted.items()] for name in COMMANDS}
    print(
        f"\n{deployment.topology}, {'tasks' if shared else 'stores'}: a hand-over {hand_over * 1e3:.2f} ms "
        f"(median; a round trip {trip * 1e3:.2f} ms); commands with {FEW} and {WAITERS} waiters: {each}"
    )
    for number, calls in counted.items():
        for name, expected in COMMANDS.items():
            # A few more, for who looks after some seconds.
            assert calls[name] <= expected * number + 10


async def test_a_hand_over_takes_less_than_three_round_trips(deployment: Deployment) -> None:
    with deployment.proxied() as proxied:
        options = {**proxied.options, "namespace": uuid.uuid4().hex, "connect_timeout": 20}
        async with opened(proxied.url, WAITERS, **options) as stores:
            for proxy in proxied.proxies.values():
                proxy.inject(Action.DELAY, on="request", times=None, seconds=LINK)
                proxy.inject(Action.DELAY, on="reply", times=None, seconds=LINK)
            relay = Relay()
            await relay.pass_on(stores)
            trips = [await round_trip(backend_of(store), 3) for store in stores]
    hand_over, trip = median(relay.hand_overs), median(trips)
    print(
        f"\n{deployment.topology}, {LINK * 1e3:g} ms away: a hand-over {hand_over * 1e3:.2f} ms (median), "
        f"{hand_over / trip:.2f} round trips of {trip * 1e3:.2f} ms"
    )
    assert hand_over < 3 * trip


async def test_waiters_on_a_file_are_served_in_order(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/line.db", FEW) as stores:
        relay = Relay()
        await relay.pass_on(stores)
        assert relay.served == list(range(FEW))

        relay = Relay()
        await relay.pass_on([stores[0]] * WAITERS)
        assert relay.served == list(range(WAITERS))


async def test_commits_elsewhere_wake_nobody_in_line_on_a_file(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/line.db", 2) as (one, other):
        await one.create("s")
        backend = backend_of(other)
        assert isinstance(backend, SqliteBackend)
        relay = Relay()
        async with one.lock("job", ttl=60):
            waiting = [asyncio.create_task(relay.run(other, number)) for number in range(FEW)]
            await eventually(lambda: stands_in_line(one, "job", FEW))
            await asyncio.sleep(0.1)
            before = backend.transactions
            for number in range(50):
                await one.append("s", Message.user(number))
                await asyncio.sleep(0.005)
            # A few, for who looks after some seconds.
            assert backend.transactions - before < 10
        await asyncio.gather(*waiting)
        assert relay.served == list(range(FEW))


async def round_trip(backend: Backend, times: int = 200) -> float:
    """Seconds that a small script takes there and back; the median."""
    request, took = LeaseRequest("lock", "job", "nobody", 1_000), []
    for _ in range(times):
        began = time.perf_counter()
        await backend.renew(request, 1)
        took.append(time.perf_counter() - began)
    return median(took)


def commands(servers: Sequence[Server]) -> Counter[str]:
    """How often each command was called so far."""
    calls: Counter[str] = Counter()
    for server in servers:
        calls.update(dict(calls_on(server)))
    return calls


def calls_on(server: Server) -> Iterator[tuple[str, int]]:
    for line in server.command("INFO", "commandstats").decode().splitlines():
        if line.startswith("cmdstat_"):
            name, _, stats = line.removeprefix("cmdstat_").partition(":")
            yield name, int(stats.removeprefix("calls=").split(",")[0])
