"""The reader's thread: consistent reads beside the writer."""

from __future__ import annotations

import sqlite3
import time

from miniagent_backends.sqlite.connect import connect_reader, pauses
from miniagent_backends.sqlite.errors import busy, is_busy, moved
from miniagent_backends.sqlite.jobs import Inbox, Job, fail_all
from miniagent_backends.sqlite.location import Location
from miniagent_backends.sqlite.transaction import Transaction
from miniagent_backends.sqlite.windows import Windows
from miniagent_backends.sqlite.worker import Deliver

# So many reads share a snapshot at most.
BATCH_JOBS = 64
# Answers that are ready wait for the rest of their batch no longer than this.
HOLD_SECONDS = 0.001


class Reader:
    """The service of the thread that reads. See `Service`.

    Reads that wait together share a snapshot. It is taken after all of them were asked for, so each sees
    whatever had been acknowledged before.
    """

    writes = False

    def __init__(self, location: Location, namespace: str, deadline: float) -> None:
        self.path: str = location.path
        self._deadline = deadline
        self._location, self._namespace, self._windows = location, namespace, Windows()

    def open(self) -> None:
        self._connection = connect_reader(self._location, time.monotonic() + self._deadline)
        self._file = self._location.file()

    def close(self) -> None:
        self._connection.close()

    def pause(self) -> float | None:
        return None

    def serve(self, inbox: Inbox, deliver: Deliver) -> None:
        if self._location.file() != self._file:
            deliver(fail_all(inbox, lambda _: moved(self.path)), ())
            return
        # All are taken before the snapshot is: a read that was asked for later might miss a commit that
        # was acknowledged in between.
        jobs: list[Job] = []
        while len(jobs) < BATCH_JOBS and (job := inbox.begin()):
            jobs.append(job)
        if not jobs:
            return
        self._connection.execute("BEGIN")
        done: list[Job] = []
        hold_until = time.monotonic() + HOLD_SECONDS
        for job in jobs:
            self._read(job)
            done.append(job)
            if time.monotonic() > hold_until:
                deliver(done, ())
                done, hold_until = [], time.monotonic() + HOLD_SECONDS
        self._end()
        deliver(done, ())

    def _read(self, job: Job) -> None:
        transaction = Transaction(self._connection, self._namespace, self._windows)
        for pause in pauses():
            try:
                job.value = job.work(transaction)
                return
            except sqlite3.Error as error:
                # Busy: before the first row only, while the log is recovered or the last writer leaves.
                if not is_busy(error):
                    job.fail(error, self.path)
                    self._begin_anew()
                    return
            except BaseException as error:  # noqa: BLE001 - it is raised where the job came from
                job.error = error
                return
            if time.monotonic() >= job.deadline:
                job.error = busy(self.path)
                return
            self._begin_anew()
            time.sleep(pause)

    def _begin_anew(self) -> None:
        self._end()
        self._connection.execute("BEGIN")

    def _end(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
