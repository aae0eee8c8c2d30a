"""Looks at a store every two seconds while somebody watches, however many they are."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from miniagent_store.errors import StoreClosedError, StoreError, WrongLoopError
from miniagent_store.measuring.watcher import Frame, Watcher
from miniagent_store.store.protocol import SessionStore
from miniagent_store.web.measuring.counting import Counting
from miniagent_store.web.measuring.point import Point, point

# Seconds between two looks; points that are kept, which are ten minutes; sessions that a look names.
EVERY, KEPT, NAMED = 2.0, 300, 5
# What that comes to, a second: stats, a listing and the sessions that are named; health and three counts of
# what expires each 15 s; two pages of a count of all sessions.
CALLS = 6
# Nobody has asked for so many seconds: nobody watches any more.
LINGER = 20.0
# A count that failed is begun again after so many seconds.
AGAIN = 30.0


class Gauge:
    """The looks at one store, shared by all who watch.

    It costs at most `CALLS` calls of the store a second, and none while nobody watches.

    Attributes:
        life: another one each time.
        number: of the last look, from 1; 0 before the first.
        frame: what it found; None before the first.
        counting: what is known of all sessions.
        shown: what was made of the last look for one who watches, for the others; by what it depends on.
    """

    life: str
    number: int
    frame: Frame | None
    counting: Counting
    shown: dict[tuple[str, str], str]

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self.life, self.number, self.frame = secrets.token_hex(4), 0, None
        self.counting, self.shown = Counting(store), {}
        self._points: deque[Point] = deque(maxlen=KEPT)
        self._looked = asyncio.Event()
        self._waiting, self._asked_at, self._ended = 0, time.monotonic(), False
        self.task: asyncio.Task[None] = asyncio.create_task(self._run())

    def points(self, after: int = 0) -> Sequence[Point]:
        """Those of looks after a number, as far as they are kept."""
        self._asked_at = time.monotonic()
        return list(self._points)[max(after - (self.number - len(self._points)), 0) :]

    async def looked(self, after: int) -> bool:
        """Wait for a look after a number; whether there is one: none after the store was closed."""
        self._waiting += 1
        try:
            while self.number <= after and not self._ended:
                await self._looked.wait()
        finally:
            self._waiting -= 1
            self._asked_at = time.monotonic()
        return self.number > after

    async def _run(self) -> None:
        counting = asyncio.create_task(self._count())
        try:
            async with Watcher(self._store, NAMED) as watcher:
                while self._waiting or time.monotonic() - self._asked_at < LINGER:
                    began = time.monotonic()
                    await self._look(watcher)
                    await asyncio.sleep(max(EVERY - (time.monotonic() - began), 0.1))
        except (StoreClosedError, WrongLoopError):
            pass
        finally:
            counting.cancel()
            self._ended = True
            self._wake()

    async def _look(self, watcher: Watcher) -> None:
        frame = await watcher.look()
        self._points.append(point(frame, self.frame, EVERY))
        self.frame, self.number = frame, self.number + 1
        self.shown.clear()
        self._wake()

    def _wake(self) -> None:
        looked, self._looked = self._looked, asyncio.Event()
        looked.set()

    async def _count(self) -> None:
        while True:
            with suppress(StoreError):
                await self.counting.run()
            await asyncio.sleep(AGAIN)


class Gauges:
    """The gauges that run, by store: tenants have their own."""

    def __init__(self) -> None:
        self._running: dict[SessionStore, Gauge] = {}

    def of(self, store: SessionStore) -> Gauge:
        """The gauge of a store, which is begun where none runs."""
        gauge = self._running.get(store)
        if gauge is None or gauge.task.done():
            gauge = self._running[store] = Gauge(store)
            gauge.task.add_done_callback(lambda task: self._forget(store, task))
        return gauge

    def _forget(self, store: SessionStore, task: asyncio.Task[None]) -> None:
        if self._running[store].task is task:
            del self._running[store]
