"""The writer's thread: many commits in one transaction, a savepoint for each that needs one."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from miniagent_backends.sqlite.connect import connect_writer, pauses
from miniagent_backends.sqlite.errors import busy, is_busy, is_of_statement, leaves_doubt, moved, translate
from miniagent_backends.sqlite.jobs import Inbox, Job, fail_all
from miniagent_backends.sqlite.known import KnownSessions
from miniagent_backends.sqlite.location import Location
from miniagent_backends.sqlite.transaction import Transaction
from miniagent_backends.sqlite.watching import EVERYTHING, POLL_SECONDS, Subscriptions, Wake
from miniagent_backends.sqlite.windows import Windows
from miniagent_backends.sqlite.worker import Deliver
from miniagent_store.errors import OutcomeUnknownError

# A transaction takes no more jobs after so many, or so long: others wait for it, here and elsewhere.
BATCH_JOBS = 256
BATCH_SECONDS = 0.02


class _HalfDoneError(Exception):
    """A job without a savepoint has failed after it had written."""


class Writer:
    """The service of the thread that writes. See `Service`.

    Attributes:
        transactions: how many it has committed.
    """

    writes = True

    def __init__(
        self, location: Location, namespace: str, deadline: float, subscriptions: Subscriptions
    ) -> None:
        self.path: str = location.path
        self.transactions: int = 0
        self._location, self._namespace, self._deadline = location, namespace, deadline
        self._subscriptions, self._windows, self._known = subscriptions, Windows(), KnownSessions()
        self._data_version = 0
        self._next_poll = 0.0

    def open(self) -> None:
        self._connection = connect_writer(self._location, time.monotonic() + self._deadline)
        self._file = self._location.file()

    def close(self) -> None:
        self._connection.close()

    def pause(self) -> float | None:
        return POLL_SECONDS if self._subscriptions.active else None

    def serve(self, inbox: Inbox, deliver: Deliver) -> None:
        self._notice_others(deliver)
        if not inbox.has_waiting():
            return
        if self._location.file() != self._file:
            # In WAL mode SQLite does not look, and would go on to write what no one will ever read.
            deliver(fail_all(inbox, lambda _: moved(self.path)), ())
            return
        try:
            locked = self._lock(inbox.has_waiting, deliver)
        except sqlite3.Error as error:
            cause = error
            deliver(fail_all(inbox, lambda job: translate(cause, self.path, job.subject)), ())
            return
        if locked:
            self._run_batch(inbox, deliver)

    # Transactions

    def _lock(self, is_wanted: Callable[[], bool], deliver: Deliver) -> bool:
        """Begin a transaction; False if it was no longer wanted before other processes made way."""
        for pause in pauses():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                if not is_busy(error):
                    raise
            else:
                return True
            time.sleep(pause)
            if not is_wanted():
                return False
            self._notice_others(deliver)
        return False

    def _run_batch(self, inbox: Inbox, deliver: Deliver) -> None:
        transaction = self._transaction()
        jobs: list[Job] = []
        until = time.monotonic() + BATCH_SECONDS
        try:
            try:
                while len(jobs) < BATCH_JOBS and (job := inbox.begin()):
                    jobs.append(job)
                    self._apply(transaction, job)
                    if time.monotonic() > until:
                        break
            except _HalfDoneError:
                self._undo()
                if not self._lock(lambda: time.monotonic() < jobs[-1].deadline, deliver):
                    deliver(self._fail_busy(jobs), ())
                    return
                transaction = self._transaction()
                for job in jobs:
                    job.guarded = True
                    self._apply(transaction, job)
            if jobs:
                self._commit(transaction)
            else:
                self._undo()
        except sqlite3.Error as error:
            self._undo()
            if len(jobs) > 1:
                # Nothing of the batch was applied. Alone, each gets its own answer: one that does not fit
                # on the disk keeps no other out.
                for job in jobs:
                    self._run_alone(job, deliver)
                return
            for job in jobs:
                self._fail(job, error)
            transaction.woken.clear()
        deliver(jobs, transaction.woken)

    def _run_alone(self, job: Job, deliver: Deliver) -> None:
        woken: list[Wake] = []
        try:
            if self._lock(lambda: time.monotonic() < job.deadline, deliver):
                transaction = self._transaction()
                job.guarded = True
                self._apply(transaction, job)
                self._commit(transaction)
                woken = transaction.woken
            else:
                self._fail_busy([job])
        except sqlite3.Error as error:
            self._undo()
            self._fail(job, error)
        deliver([job], woken)

    def _transaction(self) -> Transaction:
        self._known.begin(self._connection)
        return Transaction(self._connection, self._namespace, self._windows, self._known)

    def _apply(self, transaction: Transaction, job: Job) -> None:
        """Do one job; what it raises is its own, and undone, unless it is the file's or the disk's.

        Raises:
            _HalfDoneError: what the job wrote before it failed cannot be undone without the rest.
        """
        job.value, job.error = None, None
        woken, counted = len(transaction.woken), len(transaction.counted)
        changes = self._connection.total_changes
        if job.guarded:
            transaction.execute("SAVEPOINT job")
        try:
            job.value = job.work(transaction)
        except BaseException as error:
            if isinstance(error, sqlite3.Error):
                if not is_of_statement(error):
                    raise
                job.fail(error, self.path)
            else:
                job.error = error
            del transaction.woken[woken:], transaction.counted[counted:]
            self._known.undo()
            if job.guarded:
                transaction.execute("ROLLBACK TO job")
            elif self._connection.total_changes != changes:
                raise _HalfDoneError from error
        else:
            self._known.keep()
        if job.guarded:
            transaction.execute("RELEASE job")

    def _commit(self, transaction: Transaction) -> None:
        transaction.save_tickets()
        transaction.execute("COMMIT")
        self.transactions += 1

    def _undo(self) -> None:
        self._known.forget()
        # Some errors (a full disk among them) have rolled back already.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _fail_busy(self, jobs: list[Job]) -> list[Job]:
        for job in jobs:
            job.value, job.error = None, busy(self.path, self._deadline)
        return jobs

    def _fail(self, job: Job, error: sqlite3.Error) -> None:
        if leaves_doubt(error):
            commit_id = str(job.identity) if job.identity else None
            why = f"{self.path} did not reach the disk ({error})"
            job.error = OutcomeUnknownError(job.subject, commit_id=commit_id, why=why)
            job.error.__cause__ = error
        else:
            job.fail(error, self.path)

    # Other processes

    def _notice_others(self, deliver: Deliver) -> None:
        """Wake everyone if another connection has committed since the last look, which may be long ago.

        Asked of the connection that writes, so that our own commits do not count.
        """
        if not self._subscriptions.active or time.monotonic() < self._next_poll:
            return
        self._next_poll = time.monotonic() + POLL_SECONDS
        try:
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            version = None  # it cannot be known that nothing happened; what is wrong, a job will tell
        if version != self._data_version:
            self._data_version = version
            deliver([], (EVERYTHING,))
