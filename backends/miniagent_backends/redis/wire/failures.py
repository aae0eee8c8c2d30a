"""What a failed handshake and an error reply mean to the caller, as errors of the store."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from miniagent_backends.redis.wire.replies import ConnectionProblem, Meaning, ReplyError, meaning_of
from miniagent_backends.redis.wire.tls import explain
from miniagent_store.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    CapacityError,
    ConfigurationError,
    OutcomeUnknownError,
    StoreError,
)

IS_IT_RUNNING = "is the server running?"


class ScriptFailedError(ConfigurationError):
    """A script stopped at what it does not understand: a session that is damaged, most likely."""


async def problem_of_connecting(
    name: str, target: Mapping[str, Any], error: BaseException, timeout: float
) -> StoreError | None:
    """What to say when connecting or shaking hands has failed; None where that says nothing of the server.

    Args:
        name: the server's, without secrets.
        target: as `make_connection` takes it.
        error: what was raised.
        timeout: seconds for asking the server once more, where TLS left it unclear.
    """
    from redis import exceptions

    if isinstance(error, exceptions.NoPermissionError):
        return error_of(name, ReplyError(f"NOPERM {error}"))
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
        return _denied(name)
    if isinstance(error, exceptions.ResponseError):
        text = str(error)
        if any(word in text for word in ("NOAUTH", "WRONGPASS", "invalid username", "Authentication")):
            return _denied(name)
        return error_of(name, ReplyError(text))
    if isinstance(error, ReplyError):
        if error.text.startswith("ERR unknown command 'TIME'"):
            return ConfigurationError(
                f"{name} is a sentinel; write redis+sentinel:// and the master's name, as in "
                "redis+sentinel://host:26379/mymaster/0"
            )
        return error_of(name, error)
    if isinstance(error, exceptions.RedisError | OSError | TimeoutError | ConnectionProblem):
        told = await explain(name, target, error, timeout)
        return told if told is not None else _unreachable(name, error)
    return error if isinstance(error, StoreError) else None


def _denied(name: str) -> StoreError:
    return AccessDeniedError(f"{name} refused the user name or password; check them in the URL")


def _unreachable(name: str, error: BaseException) -> StoreError:
    return BackendUnavailableError(f"{name} cannot be reached ({_why(error)}); {IS_IT_RUNNING}")


def _why(error: BaseException) -> str:
    """What the system says, below what libraries made of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return "no host of this name is known here"
        if isinstance(cause, ConnectionRefusedError):
            return "nothing listens there"
        if isinstance(cause, TimeoutError):
            return "no answer in time"
        cause = cause.__cause__ or cause.__context__
    return str(error.__cause__ or error).rstrip(".")


def error_of(name: str, error: ReplyError) -> StoreError:
    """What an error reply means.

    Args:
        name: the server's, without secrets.
        error: the reply.
    """
    text = error.text
    match meaning_of(error):
        case Meaning.DENIED:
            return AccessDeniedError(f"{name} denied it: {text}; give the user the right in its ACL")
        case Meaning.WRONG_TYPE:
            return ConfigurationError(
                f"{name} holds something else under a key of ours (data of the seed, perhaps); "
                "use another namespace= or database"
            )
        case Meaning.CAPACITY:
            return CapacityError(f"{name} has no room or cannot save: {text}; nothing was changed")
        case Meaning.AGAIN_AT_ONCE | Meaning.AGAIN_LATER:
            if error.word in {"MOVED", "ASK"}:
                return ConfigurationError(
                    f"{name} is part of a Cluster; write redis+cluster:// for redis://, or rediss+cluster://"
                )
            if error.word == "READONLY":
                return BackendUnavailableError(
                    f"{name} is a replica and takes no writes; if no failover is going on, give its "
                    "master's address, or the sentinels' with redis+sentinel://"
                )
            return BackendUnavailableError(f"{name} does not serve for now: {text}")
        case Meaning.AMBIGUOUS:
            return OutcomeUnknownError("", commit_id=None, why=f"{name}: {text}")
        case Meaning.FATAL if text.startswith("ERR user_script"):
            return ScriptFailedError(f"{name}: a script failed: {text}")
        case _:
            if "DB index is out of range" in text:
                return ConfigurationError(
                    f"{name} has no database of the number behind the / in the URL; its `databases` says "
                    "how many it has"
                )
            return ConfigurationError(f"{name} did not understand: {text}")
