"""How a connection is opened, while other processes may be doing the same."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from miniagent_backends.sqlite.errors import denied, is_busy, translate
from miniagent_backends.sqlite.location import Location
from miniagent_backends.sqlite.schema import create_tables, is_older, is_ours, upgrade_tables
from miniagent_store.errors import AccessDeniedError, ConfigurationError

T = TypeVar("T")

OLDEST_SQLITE = (3, 35, 0)
FIRST_PAUSE, LONGEST_PAUSE = 0.0003, 0.005
CACHE_KIB = 8192
# How far the write-ahead log may stay grown after a burst.
WAL_LIMIT = 64 * 1024 * 1024


def connect_writer(location: Location, deadline: float) -> sqlite3.Connection:
    """The connection that writes; makes folders, file and tables where they are missing.

    Args:
        deadline: monotonic time until which locks of other processes are waited for.

    Raises:
        ConfigurationError, AccessDeniedError, CapacityError, BackendUnavailableError: says what to do.
    """
    _check_version()
    _prepare_folder(location)
    return _connect(location, lambda connection: _make_ours(connection, location, deadline))


def connect_reader(location: Location, deadline: float) -> sqlite3.Connection:
    """A connection that cannot write, to a file that is ours."""

    def set_up(connection: sqlite3.Connection) -> None:
        patiently(lambda: _tune(connection, location), deadline)
        connection.execute("PRAGMA query_only = ON")

    return _connect(location, set_up)


def patiently(work: Callable[[], T], deadline: float) -> T:
    """Do `work` again while other connections are in its way, until `deadline` (monotonic)."""
    for pause in pauses():
        try:
            return work()
        except sqlite3.Error as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(pause)
    raise AssertionError("pauses() does not end")


def pauses() -> Iterator[float]:
    """Seconds to sleep between tries: rising, jittered, and short; endless.

    A transaction takes about a millisecond; SQLite's own busy handler sleeps up to 100, and starves.
    """
    pause = FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1.0)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _check_version() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE[:2]))
        raise ConfigurationError(
            f"Python's sqlite3 has SQLite {sqlite3.sqlite_version}; {oldest} or newer is needed; "
            "use a newer Python build or system library"
        )


def _prepare_folder(location: Location) -> None:
    # Never open() the file here: closing it would drop the POSIX locks that SQLite holds on it for other
    # connections of this process. https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks
    try:
        os.makedirs(location.folder, exist_ok=True)
    except PermissionError as error:
        raise AccessDeniedError(f"the folder {location.folder} cannot be made: {error.strerror}") from error
    except OSError as error:
        raise ConfigurationError(
            f"the folder {location.folder} cannot be made: {error.strerror}"
        ) from error
    if os.path.isdir(location.path):
        raise ConfigurationError(f"{location.path} is a folder; name a file in it")
    if os.path.exists(location.path) and not os.access(location.path, os.R_OK | os.W_OK):
        raise denied(location.path, "the file is read-only for this process")
    if not os.access(location.folder, os.W_OK | os.X_OK):
        raise denied(location.path, f"its folder {location.folder} is read-only for this process")


def _connect(location: Location, set_up: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    try:
        # Busy waiting is ours (timeout 0): a thread that waits for a lock sees what else happens.
        connection = sqlite3.connect(location.path, timeout=0, isolation_level=None, cached_statements=256)
        try:
            set_up(connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise translate(error, location.path) from error
    return connection


def _tune(connection: sqlite3.Connection, location: Location) -> None:
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute(f"PRAGMA synchronous = {location.synchronous}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")


def _make_ours(connection: sqlite3.Connection, location: Location, deadline: float) -> None:
    ours = patiently(lambda: is_ours(connection, location.path), deadline)
    # Only now, when it is known that no one else's file is changed. It takes an exclusive lock the first
    # time, so of several processes that start at once all but one come here more than once.
    (mode,) = patiently(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone(), deadline)
    if mode != "wal":
        raise ConfigurationError(
            f"{location.path}: this file system cannot hold a write-ahead log (journal mode {mode}); "
            "use a local disk"
        )
    # Some of them read the file, so they can find it locked.
    patiently(lambda: _tune(connection, location), deadline)
    if not ours or is_older(connection):
        _write_tables(connection, location, deadline, upgrade=ours)


def _write_tables(
    connection: sqlite3.Connection, location: Location, deadline: float, *, upgrade: bool
) -> None:
    patiently(lambda: connection.execute("BEGIN IMMEDIATE"), deadline)
    try:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            create_tables(connection)
        elif upgrade:
            upgrade_tables(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    is_ours(connection, location.path)  # whoever was faster may be another application
