"""What a script's refusal means, as an error of the store: the same ones as `miniagent_store.rules`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from miniagent_backends.redis.wire.failures import ScriptFailedError
from miniagent_store.backend import Fence
from miniagent_store.errors import (
    BackendUnavailableError,
    FencedError,
    IdempotencyConflictError,
    InvalidArgumentError,
    LockLostError,
    OutcomeUnknownError,
    SessionDamagedError,
    SessionExistsError,
    SessionNotFoundError,
    SessionReplacedError,
    SessionTooLargeError,
    StateTypeError,
    StoreError,
    VersionConflictError,
)


def refuse(session_id: str, commit_id: str, reply: list[Any], fence: Fence | None) -> StoreError:
    """The error to raise for a reply that is not OK."""
    told: list[Any]
    if reply[0] == b"IDEMPOTENCY":
        # What stands may be nothing yet; a digest is no text.
        log, entry_id, seq, digest = reply[1:]
        return IdempotencyConflictError(
            session_id, entry_id=entry_id.decode(), log=log.decode(), seq=seq, digest=digest or None
        )
    code, *told = (each.decode() if isinstance(each, bytes) else each for each in reply)
    match code:
        case "NOTFOUND":
            return SessionNotFoundError(session_id)
        case "EXISTS":
            return SessionExistsError(session_id)
        case "UNKNOWN":
            return OutcomeUnknownError(session_id, commit_id=commit_id, why=told[0], final=True)
        case "ARGUMENT":
            return InvalidArgumentError(f"session {session_id!r}: {told[0]}")
        case "VERSION":
            return VersionConflictError(session_id, expected=told[0], actual=told[1])
        case "REPLACED":
            return SessionReplacedError(session_id)
        case "FENCED":
            return FencedError(session_id, fence=fence.fence if fence else 0, current=told[0])
        case "LOST":
            return LockLostError(session_id)
        case "TOOLARGE":
            return SessionTooLargeError(session_id, size=told[0], limit=told[1])
        case "STATETYPE":
            return StateTypeError(session_id, name=told[0], problem=told[1])
        case "GONE":
            return BackendUnavailableError("what was staged is gone: its time was up; fork or import again")
        case _:
            return SessionDamagedError(session_id, part=told[0], problem=told[1])


@contextmanager
def understanding(session_id: str, part: str) -> Iterator[None]:
    """For what takes stored bytes apart, here or in a script: those that we do not write are damage.

    Args:
        session_id: whose they are.
        part: which part of the session, in words.

    Raises:
        SessionDamagedError: they are not.
    """
    try:
        yield
    except (ScriptFailedError, struct.error, ValueError, LookupError, TypeError, AttributeError) as error:
        if isinstance(error, StoreError) and not isinstance(error, ScriptFailedError):
            raise
        # Without the cause, which may show what was stored.
        raise SessionDamagedError(
            session_id, part=part, problem="holds bytes that cannot be understood"
        ) from None
