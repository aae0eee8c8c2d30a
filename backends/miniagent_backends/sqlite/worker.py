"""A thread that owns a connection, and how the event loop talks to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from miniagent_backends.sqlite.errors import busy
from miniagent_backends.sqlite.jobs import Inbox, Job
from miniagent_store.errors import (
    BackendUnavailableError,
    OutcomeUnknownError,
    StoreClosedError,
    StoreError,
)

if TYPE_CHECKING:
    from miniagent_backends.sqlite.transaction import Transaction
    from miniagent_backends.sqlite.watching import Wake
    from miniagent_store.backend import CommitIdentity

T = TypeVar("T")

Deliver = Callable[[list[Job], Iterable["Wake"]], None]


class Service(Protocol):
    """What a thread does with its connection. All of it is called in that thread."""

    @property
    def path(self) -> str: ...

    @property
    def writes(self) -> bool: ...

    def open(self) -> None: ...

    def pause(self) -> float | None:
        """Seconds after which `serve` wants to be called though there is no job; None for never."""
        ...

    def serve(self, inbox: Inbox, deliver: Deliver) -> None:
        """Begin jobs of `inbox`, do them, and deliver them."""
        ...

    def close(self) -> None: ...


class Worker:
    """Runs jobs in a thread, many in one transaction.

    Args:
        service: what the thread does.
        deadline: seconds that a job may take, waiting included.
        on_wake: called in the event loop with what a batch woke, before its jobs are settled.
    """

    def __init__(
        self, name: str, service: Service, deadline: float, on_wake: Callable[[Iterable[Wake]], None]
    ) -> None:
        self._service, self._deadline, self._on_wake = service, deadline, on_wake
        self._inbox = Inbox()
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._closing = False
        self._crash: BaseException | None = None
        self._handing_over: list[Job] = []
        # By rising deadline, so that one timer does for all.
        self._unsettled: dict[Job, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        # A daemon, so that a store that was never closed does not keep the process alive.
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    async def open(self) -> None:
        """Start the thread; returns when its connection stands."""
        self._thread.start()
        await asyncio.shield(self._opened)

    async def close(self) -> None:
        """Let the thread do what it was given, and wait until it is gone."""
        self._hand_over()
        self._closing = True  # after the last job was put, so that the thread does not end before it
        self._inbox.kick()
        if self._thread.ident is not None:
            await asyncio.shield(self._ended)
            self._thread.join()  # it has nothing left to do but return
        _mark_seen(self._opened)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def kick(self) -> None:
        """Make the thread look at `Service.pause` again."""
        self._inbox.kick()

    async def run(
        self,
        work: Callable[[Transaction], T],
        subject: str = "",
        identity: CommitIdentity | None = None,
        guarded: bool = True,
    ) -> T:
        """Have `work` done inside a transaction, and return what it returns.

        Args:
            guarded: False if it writes nothing before it has checked all, as most do not: it then needs no
                savepoint.

        A caller that is cancelled before it has begun withdraws it; after that its end is awaited.

        Raises:
            BackendUnavailableError: it was not begun by the deadline.
            OutcomeUnknownError: it was begun, and had not ended by the deadline.
        """
        if self._crash is not None:
            raise self._crashed() from self._crash
        if self._closing:
            raise StoreClosedError()
        deadline = self._loop.time() + self._deadline
        job = Job(work, self._loop.create_future(), deadline, subject, identity, guarded)
        self._submit(job)
        try:
            result: T = await job.future
        except asyncio.CancelledError:
            if not self._inbox.withdraw(job) and self._service.writes:
                await self._until_finished(job)
            self._unsettled.pop(job, None)
            _mark_seen(job.future)
            raise
        return result

    # In the loop

    def _submit(self, job: Job) -> None:
        self._unsettled[job] = None
        if self._timer is None:
            self._timer = self._loop.call_at(job.deadline, self._check_deadlines)
        # All that the tasks of this turn of the loop ask for goes to the thread together: 64 tasks woken by
        # one batch make one batch again. Handing over each at once would send the first one alone.
        if not self._handing_over:
            self._loop.call_soon(self._hand_over)
        self._handing_over.append(job)

    def _hand_over(self) -> None:
        jobs, self._handing_over = self._handing_over, []
        for job in jobs:
            self._inbox.put(job)

    async def _until_finished(self, job: Job) -> None:
        while not job.finished:
            job.future = self._loop.create_future()
            try:
                await asyncio.wait([job.future])
            except asyncio.CancelledError:
                continue  # the first one goes on when the outcome is known

    def _check_deadlines(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._unsettled:
            job = next(iter(self._unsettled))
            if job.deadline > now:
                self._timer = self._loop.call_at(job.deadline, self._check_deadlines)
                return
            path, seconds = self._service.path, self._deadline
            if self._inbox.withdraw(job):
                job.error = busy(path, seconds)
            else:
                job.error = self._in_doubt(
                    job, f"{path} did not answer within the deadline of {seconds:g} s"
                )
            del self._unsettled[job]
            job.settle()

    def _in_doubt(self, job: Job, why: str) -> StoreError:
        """What to tell of a job that has begun."""
        if not self._service.writes:
            return BackendUnavailableError(why)
        commit_id = str(job.identity) if job.identity else None
        return OutcomeUnknownError(job.subject, commit_id=commit_id, why=why)

    def _abandon(self, error: BaseException) -> None:
        self._crash = error
        jobs, self._unsettled = self._unsettled, {}
        for job in jobs:
            withdrawn = self._inbox.withdraw(job)
            job.error = self._crashed() if withdrawn else self._in_doubt(job, str(self._crashed()))
            job.error.__cause__ = error
            job.settle()

    def _crashed(self) -> BackendUnavailableError:
        return BackendUnavailableError(
            f"the thread that works on {self._service.path} ended by {self._crash!r}; open the store anew"
        )

    def _settle(self, jobs: list[Job], woken: Iterable[Wake]) -> None:
        self._on_wake(woken)
        for job in jobs:
            if job in self._unsettled:
                del self._unsettled[job]
                job.settle()

    # In the thread

    def _main(self) -> None:
        try:
            try:
                self._service.open()
            except BaseException as error:  # noqa: BLE001 - whatever it is, open() raises it
                self._tell(_reject, self._opened, error)
                return
            self._tell(_resolve, self._opened)
            try:
                self._serve_until_closed()
            except BaseException as error:  # noqa: BLE001 - it is told to all who wait and will ask
                self._tell(self._abandon, error)
            finally:
                self._service.close()
        finally:
            self._tell(_resolve, self._ended)

    def _serve_until_closed(self) -> None:
        while True:
            self._inbox.wait(self._service.pause())
            closing = self._closing  # before looking: nothing is put after it is set
            self._service.serve(self._inbox, self._deliver)
            if closing and not self._inbox.has_waiting():
                return

    def _deliver(self, jobs: list[Job], woken: Iterable[Wake]) -> None:
        self._tell(self._settle, jobs, woken)

    def _tell(self, callback: Callable[..., Any], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            # The loop was closed before the store: there is no one left to tell.
            self._closing = True


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _mark_seen(future: asyncio.Future[Any]) -> None:
    """Keep asyncio from reporting an exception that no one waits for any more."""
    if future.done() and not future.cancelled():
        future.exception()


def _reject(future: asyncio.Future[None], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
