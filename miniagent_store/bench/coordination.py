"""Locks, cached values and events between two instances of one store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from miniagent_store.bench.contestants import floor_of, url_for
from miniagent_store.bench.figures import BY_HAND, OURS
from miniagent_store.bench.places import Place
from miniagent_store.bench.rounds import Run
from miniagent_store.bench.texts import QUESTION, TURN
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Message

AREA = "coordination"
PATIENCE = 30.0


async def measure_coordination(run: Run, place: Place) -> None:
    """From one instance to another: a lock handed over, an event seen; and cached values set and got."""
    run.tell(f"{place.kind}: locks, cache and events")
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(place.instance()) for _ in range(2)]
        session_id, key = place.id("watched"), "value"
        await one.create(session_id)
        watcher = Watcher(other, session_id)
        await stack.enter_async_context(watcher)
        turns: dict[str, Callable[[], Awaitable[float]]] = {
            "lock handed over": lambda: hand_over(one, other, f"{place.start}bench-lock"),
            "event seen": lambda: watcher.latency(one),
            "cache set": lambda: timed(lambda: one.cache.set(key, QUESTION, ttl=60, namespace=place.cache)),
            "cache get": lambda: timed(lambda: one.cache.get(key, namespace=place.cache)),
        }
        if (floor := floor_of(place)) is not None:
            await floor.open(url_for(place, floor.name))
            stack.push_async_callback(floor.close)
            turns[BY_HAND] = lambda: timed(lambda: floor.append("coordination", TURN))

        async def turn(name: str) -> float:
            return sum([await turns[name]() for _ in range(run.plan.handovers)]) / run.plan.handovers

        samples = await run.rounds(f"{place.kind}: coordination", list(turns), turn)
        run.add(samples, area=AREA, place=place.kind, unit="µs", baseline=BY_HAND, subject=OURS)


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """Microseconds of one call."""
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1e6


async def hand_over(one: SessionStore, other: SessionStore, name: str) -> float:
    """Microseconds from one's release of a lock until the other has it."""
    asked = asyncio.Event()

    async def wait() -> float:
        asked.set()
        async with other.lock(name, wait=PATIENCE):
            return time.perf_counter()

    async with one.lock(name):
        waiting = asyncio.create_task(wait())
        await asked.wait()
        # So that it has seen the lock taken, and waits as long as one does.
        await asyncio.sleep(0.01)
        released = time.perf_counter()
    return (await waiting - released) * 1e6


class Watcher:
    """Watches a session, and says how long an event took.

    Args:
        store: that watches.
        session_id: what is watched.
    """

    def __init__(self, store: SessionStore, session_id: str) -> None:
        self._store, self._session_id = store, session_id
        self._seen: asyncio.Queue[float] = asyncio.Queue()
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Watcher:
        # From the beginning on, so that nothing is missed before the watch has begun.
        snapshot = await self._store.snapshot(self._session_id)
        self._events = self._store.watch(self._session_id, after=snapshot.position)
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def latency(self, writer: SessionStore) -> float:
        """Microseconds from the call of an append until its event is seen."""
        began = time.perf_counter()
        await writer.append(self._session_id, Message(**QUESTION))
        async with asyncio.timeout(PATIENCE):
            return (await self._seen.get() - began) * 1e6

    async def _watch(self) -> None:
        async for event in self._events:
            if event.type == "appended":
                self._seen.put_nowait(time.perf_counter())
