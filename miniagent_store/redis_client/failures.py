"""What redis-py raises, as this library's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from miniagent_store.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    CapacityError,
    StoreError,
)


@contextmanager
def told_as_ours(place: str) -> Iterator[None]:
    """Raise what redis-py raises inside as a `StoreError`.

    Args:
        place: which server, for the message; without secrets.
    """
    try:
        yield
    except Exception as error:
        problem = as_store_error(error, place)
        if problem is None:
            raise
        raise problem from error


def as_store_error(error: BaseException, place: str) -> StoreError | None:
    """An error of redis-py, or of the network, as ours; None for any other."""
    # Imported here: without the extra "redis" this module must still load. Order matters, since redis-py
    # calls a wrong password a ConnectionError.
    from redis import exceptions as known

    match error:
        case StoreError():
            return error
        case known.AuthenticationError() | known.AuthorizationError() | known.NoPermissionError():
            return AccessDeniedError(f"{place} refused: {error}; check user name, password and rights")
        case known.OutOfMemoryError():
            return CapacityError(f"{place} has no room: {error}")
        case known.ConnectionError() | known.TimeoutError() | OSError():
            return BackendUnavailableError(f"{place} cannot be reached ({error}); is the server running?")
        case known.RedisError():
            return StoreError(f"{place} refused: {error}")
    return None
