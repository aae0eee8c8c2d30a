"""What the event loop asks of a thread: a job, and the box it waits in."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from miniagent_backends.sqlite.errors import translate

if TYPE_CHECKING:
    from miniagent_backends.sqlite.transaction import Transaction
    from miniagent_store.backend import CommitIdentity


class Job:
    """One operation on its way through a thread and back.

    Attributes:
        work: what to do inside a transaction. It may run more than once, after a rollback.
        subject: whose it is: a session's id, or "".
        guarded: whether it may fail after it has written; it then runs within a savepoint.
        deadline: monotonic time.
        future: of the one who waits; replaced when that one is cancelled.
        begun, withdrawn: one excludes the other; see `Inbox`.
        finished: `value` or `error` is what came of it. Set in the event loop.
    """

    __slots__ = (
        "begun",
        "deadline",
        "error",
        "finished",
        "future",
        "guarded",
        "identity",
        "subject",
        "value",
        "withdrawn",
        "work",
    )
    deadline: float
    future: asyncio.Future[Any]
    work: Callable[[Transaction], Any]
    guarded: bool
    identity: CommitIdentity | None
    subject: str
    begun: bool
    withdrawn: bool
    finished: bool

    def __init__(
        self,
        work: Callable[[Transaction], Any],
        future: asyncio.Future[Any],
        deadline: float,
        subject: str,
        identity: CommitIdentity | None,
        guarded: bool = True,
    ) -> None:
        self.work, self.future, self.deadline = work, future, deadline
        self.subject, self.identity, self.guarded = subject, identity, guarded
        self.value: Any = None
        self.error: BaseException | None = None
        self.begun = self.withdrawn = self.finished = False

    def fail(self, error: sqlite3.Error, path: str) -> None:
        """Note what went wrong; an exception of its own for each job."""
        self.error = translate(error, path, self.subject)
        self.error.__cause__ = error

    def settle(self) -> None:
        """Tell the one who waits. In the event loop."""
        self.finished = True
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)


class Inbox:
    """Jobs between the loop, which puts and withdraws, and one thread, which begins them."""

    def __init__(self) -> None:
        self._arrivals: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting: deque[Job] = deque()  # the thread's own, like the next
        self._kicked = False
        self._lock = threading.Lock()  # between begin and withdraw

    # Of the loop

    def put(self, job: Job) -> None:
        self._arrivals.put(job)

    def kick(self) -> None:
        """Make `wait` return, or the next one if the thread is at work."""
        self._arrivals.put(None)

    def withdraw(self, job: Job) -> bool:
        """Take a job back; False if it has begun."""
        with self._lock:
            if job.begun:
                return False
            job.withdrawn = True
            return True

    # Of the thread

    def wait(self, timeout: float | None) -> None:
        """Wait for a job, a kick, or `timeout` seconds."""
        if not self._waiting and not self._kicked:
            with suppress(queue.Empty):
                self._take(self._arrivals.get(timeout=timeout))
        self._kicked = False

    def has_waiting(self) -> bool:
        """Whether a job waits that has not been withdrawn."""
        self._collect()
        while self._waiting and self._waiting[0].withdrawn:
            self._waiting.popleft()
        return bool(self._waiting)

    def begin(self) -> Job | None:
        """The next job, which can no longer be withdrawn; None if there is none."""
        if not self._waiting:
            self._collect()
        while self._waiting:
            job = self._waiting.popleft()
            with self._lock:
                if not job.withdrawn:
                    job.begun = True
                    return job
        return None

    def _collect(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._take(self._arrivals.get_nowait())

    def _take(self, arrival: Job | None) -> None:
        if arrival is None:
            self._kicked = True
        else:
            self._waiting.append(arrival)


def fail_all(inbox: Inbox, error_for: Callable[[Job], BaseException]) -> list[Job]:
    """Begin all that waits, and end it with an error of its own."""
    jobs = []
    while job := inbox.begin():
        job.error = error_for(job)
        jobs.append(job)
    return jobs
