"""Threads with connections, and the lanes of what they are to do.

Jobs that need the same lock stand in one lane: whoever takes it does all that waits there, and what waits
in other lanes, in one transaction. So many who write cost one flush, and a session that somebody else has
locked keeps one connection busy.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import psycopg

from miniagent_postgresql.errors import translate
from miniagent_postgresql.location import Location
from miniagent_postgresql.schema import prepare_schema
from miniagent_postgresql.transaction import Transaction
from miniagent_postgresql.worker import Batch, Done, Job, Worker, connect, unknown
from miniagent_store.backend import CommitIdentity
from miniagent_store.errors import BackendUnavailableError, StoreClosedError, WrongLoopError

T = TypeVar("T")
# So many jobs of a lane, and so many lanes, share a transaction at most.
BATCH_JOBS, BATCH_LANES = 64, 16


class Pool:
    """Does work in transactions, for one event loop.

    Args:
        location: of the database.
        deadline: seconds that a job may take.
        woken: told what the transactions of this process have changed, in the event loop.
    """

    def __init__(self, location: Location, deadline: float, woken: Callable[[list[str]], None]) -> None:
        self.location = location
        self._deadline, self._woken = deadline, woken
        self._lanes: dict[int, deque[Job]] = {}
        self._ready: deque[tuple[int | None, deque[Job]]] = deque()
        self._condition = threading.Condition()
        self._workers: list[Worker] = []
        self._idle = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._clock = _Clock()

    async def open(self) -> None:
        """Connect once, and make the tables if they are missing."""
        self._loop, self._pid = asyncio.get_running_loop(), os.getpid()
        await asyncio.to_thread(self._prepare)

    def close(self) -> list[Worker]:
        """Take no more work. The threads end by themselves, and are returned."""
        if os.getpid() != self._pid:
            return []  # after a fork the threads are the parent's
        with self._condition:
            self._loop = None
            self._condition.notify_all()
        return self._workers

    def now_ms(self) -> int:
        """The server's clock, as well as it is known here."""
        return self._clock.now_ms()

    def pids(self) -> set[int]:
        """Of the server processes behind our connections."""
        return {worker.pid for worker in self._workers}

    def check(self) -> asyncio.AbstractEventLoop:
        """The loop that this belongs to, which is the running one.

        Raises:
            StoreClosedError, WrongLoopError: it cannot be used here.
        """
        where = f"the store on {self.location.shown}"
        if os.getpid() != self._pid:
            raise WrongLoopError(f"{where} that was opened before a fork")
        if self._loop is None:
            raise StoreClosedError(where)
        if asyncio.get_running_loop() is not self._loop:
            raise WrongLoopError(where)
        return self._loop

    async def run(
        self,
        work: Callable[[Transaction], T],
        *,
        namespace: str = "",
        lock: int | None = None,
        writes: bool = False,
        subject: str = "",
        identity: CommitIdentity | None = None,
    ) -> T:
        """What `work` returns in a transaction that was committed.

        Args:
            lock: number of the advisory lock that it needs.
            writes: whether it does; otherwise it sees one moment.
            subject: session id or name, for errors.
            identity: of a commit.
        """
        loop = self.check()
        future: asyncio.Future[Any] = loop.create_future()
        deadline = time.monotonic() + self._deadline
        job = Job(work, namespace, future, lock, writes, subject, identity, deadline)
        with self._condition:
            lane = None if lock is None else self._lanes.get(lock)
            if lane is not None:
                lane.append(job)
            else:
                lane = deque([job])
                if lock is not None:
                    self._lanes[lock] = lane
                self._ready.append((lock, lane))
                if len(self._ready) > self._idle and len(self._workers) < self.location.connections:
                    self._start_worker()
                else:
                    self._condition.notify()
        try:
            # The server gives up first, and says why.
            async with asyncio.timeout(self._deadline + 1):
                return cast(T, await future)
        except TimeoutError:
            raise self._late(job) from None

    # Inside

    def _prepare(self) -> None:
        with connect(self.location) as connection:
            try:
                prepare_schema(connection, self.location.schema, self.location.shown)
            except psycopg.Error as error:
                raise translate(error, self.location.shown) from error

    def _start_worker(self) -> None:
        lanes: list[int] = []
        worker = Worker(
            self.location,
            len(self._workers),
            partial(self._take, lanes),
            partial(self._hand_over, asyncio.get_running_loop()),
        )
        self._workers.append(worker)
        worker.start()

    def _take(self, held: list[int]) -> Batch | None:
        """The next jobs for a worker, which gives back the lanes that it had. In its thread."""
        with self._condition:
            for lock in held:
                self._give_back(lock)
            held.clear()
            while not self._ready:
                if self._loop is None:
                    return None
                self._idle += 1
                self._condition.wait()
                self._idle -= 1
            batch = [self._next_lane(held)]
            if batch[0][0] is not None:
                while self._ready and self._ready[0][0] is not None and len(batch) < BATCH_LANES:
                    batch.append(self._next_lane(held))
            return batch

    def _next_lane(self, held: list[int]) -> tuple[int | None, list[Job]]:
        lock, lane = self._ready.popleft()
        if lock is not None:
            held.append(lock)
        return lock, [lane.popleft() for _ in range(min(len(lane), BATCH_JOBS))]

    def _give_back(self, lock: int) -> None:
        if self._lanes[lock]:
            self._ready.append((lock, self._lanes[lock]))
            self._condition.notify()
        else:
            del self._lanes[lock]

    def _hand_over(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        """In a worker's thread."""
        try:
            loop.call_soon_threadsafe(self._finish, done)
        except RuntimeError:
            pass  # the loop is closed; nobody waits

    def _finish(self, done: Done) -> None:
        if done.clock is not None:
            self._clock.note(*done.clock)
        for job in done.jobs:
            if job.future.done():
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.value)
        if done.woken:
            self._woken(list(done.woken))

    def _late(self, job: Job) -> Exception:
        for worker in self._workers:
            worker.hang_up(job)
        if job.started and job.writes:
            return unknown(job, f"no answer came within {self._deadline:g} s")
        return BackendUnavailableError(
            f"{self.location.shown} did not answer within {self._deadline:g} s; nothing was changed"
        )


class _Clock:
    """How far the server's clock is from ours."""

    def __init__(self) -> None:
        self._offset, self._error, self._noted = 0.0, float("inf"), 0.0

    def note(self, asked: float, server_ms: int, answered: float) -> None:
        """A look at the server's clock between two moments of the monotonic one."""
        error = answered - asked
        # A look that was as good counts, and after a while any does: clocks drift.
        if error <= self._error or answered - self._noted > 10:
            self._offset, self._error, self._noted = server_ms / 1000 - answered, error, answered

    def now_ms(self) -> int:
        if self._error == float("inf"):
            return time.time_ns() // 1_000_000
        return int((time.monotonic() + self._offset) * 1000)
