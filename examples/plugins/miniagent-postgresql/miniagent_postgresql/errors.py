"""What PostgreSQL's errors mean to a caller. https://www.postgresql.org/docs/current/errcodes-appendix.html"""

from __future__ import annotations

import psycopg

from miniagent_store.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    CapacityError,
    ConfigurationError,
    InvalidArgumentError,
    SessionDamagedError,
    StoreError,
)

_NO_ROOM = frozenset({"53100", "53200", "53400", "54000"})
_DENIED = frozenset({"28000", "28P01", "42501"})


def is_lost(error: psycopg.Error) -> bool:
    """Whether the connection is gone, so that it is not known how far the server came."""
    state = error.sqlstate or ""
    return isinstance(error, psycopg.OperationalError) and (
        not state or state.startswith("08") or state in ("57P01", "57P02", "57P03", "25P03")
    )


def translate(error: psycopg.Error, shown: str, session_id: str = "") -> StoreError | psycopg.Error:
    """The error to raise for `error`, after which nothing was changed.

    Args:
        shown: the place, without secrets.
        session_id: whose operation it was, or "".
    """
    state, said = error.sqlstate or "", _first_line(error)
    if state in _DENIED:
        return AccessDeniedError(f"{shown} refused: {said}; grant this role what it lacks")
    if state == "3D000":
        return _no_database(shown)
    if state in _NO_ROOM:
        return CapacityError(f"{shown} is out of room ({said}); nothing was changed; make room")
    if state == "25006":
        return BackendUnavailableError(f"{shown} takes no writes now ({said}); nothing was changed")
    if state.startswith("23") and session_id:
        return SessionDamagedError(
            session_id, part=f"what {shown} holds of it", problem=f"does not fit its record ({said})"
        )
    if state.startswith("22"):
        return InvalidArgumentError(f"a value cannot be stored in PostgreSQL: {said}")
    if isinstance(error, psycopg.OperationalError):
        return BackendUnavailableError(f"{shown} did not do it: {said}; nothing was changed")
    return error


def cannot_connect(error: psycopg.Error, shown: str) -> StoreError:
    """The error for a connection that was not made. libpq tells why in words only."""
    said = _first_line(error)
    if "password" in said or "authentication" in said or "pg_hba" in said or "role " in said:
        return AccessDeniedError(f"{shown} refused the connection: {said}; check user and password")
    if "database" in said and "does not exist" in said:
        return _no_database(shown)
    if "invalid" in said and "value" in said:
        return ConfigurationError(f"{shown}: {said}")
    return BackendUnavailableError(f"{shown} cannot be reached: {said}; is the server running?")


def _no_database(shown: str) -> ConfigurationError:
    return ConfigurationError(f"{shown}: there is no such database; make it with: createdb NAME")


def _first_line(error: psycopg.Error) -> str:
    """Of a message; what follows may show values of rows."""
    text = error.diag.message_primary or str(error)
    return text.strip().splitlines()[0].strip() if text.strip() else type(error).__name__
