"""What SQLite's result codes mean to a caller. https://www.sqlite.org/rescode.html"""

from __future__ import annotations

import sqlite3

from miniagent_store.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    CapacityError,
    ConfigurationError,
    InvalidArgumentError,
    SessionDamagedError,
    StoreError,
)

# PROTOCOL is a lock race that SQLite itself gave up on after many tries.
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
# SQLite says FULL for ENOSPC only: quotas and limits on file size come as failed writes.
_NO_ROOM = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMMAP,
        sqlite3.SQLITE_IOERR_NOMEM,
        sqlite3.SQLITE_NOMEM,
    }
)
_DENIED = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# Codes that say something of one statement, not of the file or the transaction.
_STATEMENT = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_ERROR,
    }
)


def code_of(error: sqlite3.Error) -> int:
    """The extended result code; MISUSE where the sqlite3 module itself refused."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection is in the way, and trying again will help."""
    return code_of(error) & 0xFF in _BUSY


def is_of_statement(error: sqlite3.Error) -> bool:
    """Whether only the statement failed, and the transaction may go on without it."""
    return code_of(error) & 0xFF in _STATEMENT


def leaves_doubt(error: sqlite3.Error) -> bool:
    """Whether a COMMIT that failed so may come back after a power cut.

    Its frames are whole in the write-ahead log; only their way to the disk is in doubt.
    """
    return code_of(error) == sqlite3.SQLITE_IOERR_FSYNC


def translate(error: sqlite3.Error, path: str, session_id: str = "") -> Exception:
    """The error to raise for `error`, which left nothing behind.

    Args:
        path: of the database file.
        session_id: whose operation it was, or "".
    """
    code = code_of(error)
    primary = code & 0xFF
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if primary in _BUSY:
        return busy(path)
    if code in _NO_ROOM or primary in _NO_ROOM:
        return CapacityError(
            f"{path} cannot grow: the disk is full, or over a quota or a limit on file size ({name}); "
            "nothing was changed; make room and try again"
        )
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return moved(path)
    if primary in _DENIED:
        return denied(path)
    if primary == sqlite3.SQLITE_NOTADB and session_id is None:
        return not_a_database(path)
    if primary in _CORRUPT:
        return _damaged(path, session_id, name)
    if primary == sqlite3.SQLITE_CONSTRAINT and session_id:
        return SessionDamagedError(
            session_id, part=f"what {path} holds of it", problem=f"does not fit its record ({error})"
        )
    if primary == sqlite3.SQLITE_TOOBIG:
        return InvalidArgumentError("a value is larger than SQLite takes (1 GB); split it")
    if session_id and str(error).startswith("Could not decode to UTF-8"):
        # The sqlite3 module's own words go on with what stands there, which no message may quote.
        return SessionDamagedError(
            session_id, part=f"what {path} holds of it", problem="was written by something else"
        )
    if primary in _STATEMENT:
        return error
    return BackendUnavailableError(
        f"{path} could not be read or written: {error} ({name}); nothing was changed"
    )


def busy(path: str, seconds: float | None = None) -> StoreError:
    """Another process kept the file locked."""
    waited = "" if seconds is None else f" for {seconds:g} s"
    return BackendUnavailableError(
        f"{path} was locked by another process{waited}; nothing was changed; try again, raise deadline=, "
        "or find who holds a transaction open on it"
    )


def moved(path: str) -> BackendUnavailableError:
    """The file is no longer where it was opened."""
    return BackendUnavailableError(
        f"{path} was moved, replaced or deleted while it was open; nothing was changed; put it back, or "
        "open the store anew"
    )


def denied(
    path: str, what: str = "the file, or its folder, is read-only for this process"
) -> AccessDeniedError:
    """A right on the file is missing."""
    return AccessDeniedError(f"{path} cannot be written: {what}; SQLite needs both writable")


def _damaged(path: str, session_id: str, name: str) -> StoreError:
    advice = "restore it from a backup, or save what can be read with: sqlite3 FILE .recover"
    if session_id:
        return SessionDamagedError(
            session_id, part=f"the database file {path}", problem=f"is corrupt ({name}); {advice}"
        )
    return BackendUnavailableError(f"the database file {path} is corrupt ({name}); {advice}")


def not_a_database(path: str) -> ConfigurationError:
    """The file is something else."""
    return ConfigurationError(
        f"{path} is not a SQLite database (or it is encrypted or corrupt); it was left as it is; "
        "use another file name"
    )
