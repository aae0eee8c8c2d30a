"""A thread with a connection of its own: takes lanes, and does what waits in them in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from miniagent_postgresql.errors import cannot_connect, is_lost, translate
from miniagent_postgresql.location import Location
from miniagent_postgresql.transaction import Connection, Transaction
from miniagent_store.backend import CommitIdentity
from miniagent_store.errors import BackendUnavailableError, OutcomeUnknownError, StoreError

logger = logging.getLogger("miniagent_store")

_BEGIN_WRITE = b"BEGIN"
# All statements of a read see the same moment.
_BEGIN_READ = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_UNKNOWN = "the connection was lost before the answer came"


@dataclass(slots=True, eq=False)
class Job:
    """Work that someone waits for.

    Attributes:
        lock: number of the advisory lock that it needs; None for none.
        writes: False for a read of one moment.
        subject: session id or name, for errors.
        identity: of a commit.
        deadline: by the monotonic clock; later nobody waits.
    """

    work: Callable[[Transaction], Any]
    namespace: str
    future: asyncio.Future[Any]
    lock: int | None
    writes: bool
    subject: str
    identity: CommitIdentity | None
    deadline: float
    started: bool = False
    value: Any = None
    error: BaseException | None = None


@dataclass(slots=True, eq=False)
class Done:
    """What a worker hands back to the event loop."""

    jobs: Sequence[Job]
    woken: Sequence[str] = ()
    clock: tuple[float, int, float] | None = None


# Jobs by the lock that they share; those after the first are done if their locks are free.
Batch = list[tuple[int | None, list[Job]]]


class Worker(threading.Thread):
    """Does jobs on one connection, which is made when it is needed, and again when it was lost.

    Args:
        take: the next jobs, by their locks; waits for them; None at the end.
        deliver: hands back what was done; called in this thread.
    """

    def __init__(
        self,
        location: Location,
        number: int,
        take: Callable[[], Batch | None],
        deliver: Callable[[Done], None],
    ) -> None:
        super().__init__(name=f"miniagent-postgresql-{number}", daemon=True)
        self._location, self._take, self._deliver = location, take, deliver
        self._connection: Connection | None = None
        self._doing: Sequence[Job] = ()
        self.pid = 0

    def run(self) -> None:
        while (batch := self._take()) is not None:
            self._do(batch)
            self._doing = ()
        self._disconnect()

    def hang_up(self, job: Job | None = None) -> None:
        """Cut the connection, so that who waits for the server gives up. From any thread.

        Args:
            job: only if it is the one that is being done.
        """
        if job is not None and job not in self._doing:
            return
        connection = self._connection
        if connection is not None and not connection.closed:
            with (
                contextlib.suppress(OSError, psycopg.Error),
                socket.socket(fileno=os.dup(connection.fileno())) as its,
            ):
                its.shutdown(socket.SHUT_RDWR)

    # Inside

    def _do(self, wanted: Batch) -> None:
        now = time.monotonic()
        batch: Batch = []
        for lock, waiting in wanted:
            jobs = [job for job in waiting if not job.future.done() and now < job.deadline]
            if jobs:
                batch.append((lock, jobs))
        if not batch:
            return
        jobs = [job for _, each in batch for job in each]
        self._doing = jobs
        try:
            connection = self._connected()
        except StoreError as error:
            for job in jobs:
                job.error = error
            self._deliver(Done(jobs))
            return
        done = self._transact(connection, batch)
        if done is not None:
            self._deliver(done)
        left = jobs if done is None else [job for job in jobs if not job.started]
        # A statement failed and took the others with it, or somebody else has the lock: each alone.
        for job in left:
            self._do([(job.lock, [job])])

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._location)
            self.pid = self._connection.info.backend_pid
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def _transact(self, connection: Connection, batch: Batch) -> Done | None:
        """Do jobs in one transaction; None where they have to be done one by one."""
        transaction = Transaction(connection)
        (lock, jobs), others = batch[0], batch[1:]
        guarded = len(jobs) > 1 or bool(others)
        done = list(jobs)
        committing: psycopg.Cursor[Any] | None = None
        try:
            with connection.pipeline():
                connection.execute(_BEGIN_WRITE if jobs[0].writes else _BEGIN_READ)
                if lock is not None:
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock,))
                # Nobody waits for a second lock while he holds one, so nobody waits in a circle.
                free = [transaction.ask("SELECT pg_try_advisory_xact_lock(%s)", (it,)) for it, _ in others]
                for job in jobs:
                    self._apply(transaction, job, guarded=guarded)
                for is_free, (_, more) in zip(free, others, strict=True):
                    if is_free.fetchone() == (True,):
                        done += more
                        for job in more:
                            self._apply(transaction, job, guarded=guarded)
                if not guarded and jobs[0].error is not None:
                    connection.execute("ROLLBACK")
                else:
                    committing = connection.execute("COMMIT")
                    self._notify(connection, transaction.woken)
        except psycopg.Error as error:
            if committing is None or not _was_committed(committing):
                return self._failed(connection, done, error, in_doubt=committing is not None)
            logger.warning("%s: watchers were not woken: %s", self._location.shown, error)
        return Done(done, transaction.woken, transaction.clock)

    def _apply(self, transaction: Transaction, job: Job, *, guarded: bool) -> None:
        job.value, job.error, job.started = None, None, True
        transaction.begin_job(job.namespace, guarded)
        try:
            job.value = job.work(transaction)
        except psycopg.Error:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised where the job came from
            job.error = error
        transaction.end_job(failed=job.error is not None)

    def _notify(self, connection: Connection, woken: list[str]) -> None:
        """Wake who watches elsewhere, right behind the COMMIT and on the same way.

        Not inside the transaction: commits that notify wait for each other until they are on disk.
        """
        for topics in _pages(sorted(set(woken))):
            connection.execute("SELECT pg_notify(%s, %s)", (self._location.channel, topics))

    def _failed(
        self, connection: Connection, jobs: list[Job], error: psycopg.Error, *, in_doubt: bool
    ) -> Done | None:
        lost = connection.closed or connection.broken or is_lost(error)
        if lost:
            self._disconnect()
        else:
            try:
                connection.execute("ROLLBACK")
            except psycopg.Error:
                self._disconnect()
        if len(self._doing) > 1 and not lost:
            return None
        for job in jobs:
            job.value = None
            if lost and in_doubt and job.writes:
                job.error = unknown(job, _UNKNOWN)
            elif lost:
                job.error = BackendUnavailableError(
                    f"the connection to {self._location.shown} was lost; nothing was changed"
                )
            else:
                job.error = translate(error, self._location.shown, job.subject)
            job.error.__cause__ = error
        return Done(jobs)


def connect(location: Location) -> Connection:
    """A connection to a server that takes writes.

    Raises:
        StoreError: says what to do.
    """
    try:
        return psycopg.connect(**location.settings, autocommit=True)
    except psycopg.Error as error:
        raise cannot_connect(error, location.shown) from error


def unknown(job: Job, why: str) -> StoreError:
    """The error for a job that may have been done."""
    commit_id = str(job.identity) if job.identity else None
    return OutcomeUnknownError(job.subject, commit_id=commit_id, why=why)


def _was_committed(cursor: psycopg.Cursor[Any]) -> bool:
    return cursor.statusmessage == "COMMIT"


def _pages(topics: list[str], size: int = 300) -> list[str]:
    """Lists of topics, none longer than a notification may be (8000 bytes)."""
    return [" ".join(topics[at : at + size]) for at in range(0, len(topics), size)]
