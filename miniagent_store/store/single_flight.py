"""Cached functions: one computes for all instances, and what it found is kept."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

from miniagent_store.cancellation import to_the_end
from miniagent_store.errors import BackendUnavailableError, EncodeError, LockTimeoutError
from miniagent_store.options import TTL
from miniagent_store.store.background import Background
from miniagent_store.store.cache_place import AWAY, CachePlace, full_key
from miniagent_store.store.functions import name_of, run_function
from miniagent_store.store.leases import Lock

P = ParamSpec("P")
R = TypeVar("R")
# A value that is an error which was raised: its class by name, and its arguments.
ERROR = "miniagent-store/error"
# Who waits for the lock looks whether the value is there after so many seconds, then twice as many, …
FIRST_LOOK, LAST_LOOK = 0.05, 0.5
# It lives, and its lock is renewed: who computes may take as long as it takes.
FOR_EVER = 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class Computation:
    """How what a function returns is kept; see `Cache.cached`."""

    namespace: str
    ttl: TTL | None
    jitter: float
    tags: tuple[str, ...] | Callable[..., Iterable[str]]
    negative_ttl: TTL | None
    negative: tuple[type[Exception], ...]
    lease: float

    def tags_of(self, args: Any, kwargs: Any) -> tuple[str, ...]:
        """The tags of a result."""
        return tuple(self.tags(*args, **kwargs)) if callable(self.tags) else self.tags

    def ttl_of(self, *, negative: bool) -> TTL | None:
        """How long a result is kept."""
        return self.negative_ttl if negative and self.negative_ttl is not None else self.ttl

    def packed(self, error: Exception) -> dict[str, Any] | None:
        """An error as a value; None if it is none that is kept."""
        named = next((each for each in self.negative if isinstance(error, each)), None)
        return None if named is None else {ERROR: [_name(named), list(error.args)]}

    def error_of(self, value: Any) -> Exception | None:
        """The error that a value is, if it is one of those that are kept."""
        if not (isinstance(value, dict) and value.keys() == {ERROR}):
            return None
        name, args = value[ERROR]
        named = next((each for each in self.negative if _name(each) == name), None)
        if named is None:
            return None
        try:
            return named(*args)
        except TypeError:
            # Its constructor wants something else than what it kept.
            error = named.__new__(named)
            error.args = tuple(args)
            return error


class SingleFlight:
    """Who computes what, in this process and, by locks, among all instances.

    Args:
        place: where results are kept, and the locks of those who compute them.
        queue: who waits for which lock.
    """

    def __init__(self, place: CachePlace, background: Background) -> None:
        self._place, self._background = place, background
        self._flights: dict[str, asyncio.Future[Any]] = {}

    async def once(
        self,
        key: str,
        full: str,
        how: Computation,
        tags: tuple[str, ...],
        compute: Callable[[], Awaitable[R]],
    ) -> R:
        """What is cached under a key, or what `compute` returns, by whoever computes it."""
        flight = self._flights.get(full)
        while flight is not None:
            await asyncio.wait([flight])
            if not flight.cancelled():
                self._place.hits += 1
                return cast(R, _result(how, flight.result()))
            # The one who computed failed or was cancelled: its error is its own, and we try ourselves.
            flight = self._flights.get(full)
        mine: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._flights[full] = mine
        try:
            value = await self._find(key, full, how, tags, compute)
            mine.set_result(value)
        finally:
            # Also where it failed: those who wait are woken.
            mine.cancel()
            del self._flights[full]
        return cast(R, _result(how, value))

    async def _find(
        self,
        key: str,
        full: str,
        how: Computation,
        tags: tuple[str, ...],
        compute: Callable[[], Awaitable[Any]],
    ) -> Any:
        found = await self._place.look([key], how.namespace)
        if key in found and _is_usable(how, found[key]):
            return found[key]
        if self._place.away:
            return await self._compute(key, how, tags, compute)
        lock = Lock(self._place.core, self._background, f"cache/{full}", ttl=how.lease, wait=FOR_EVER)
        try:
            found = await self._enter(lock, key, how)
        except (LockTimeoutError, *AWAY) as error:
            self._place.failed(error)
            return await self._compute(key, how, tags, compute)
        if found:
            return found[key]
        try:
            found = await self._look(key, how)
            return found[key] if found else await self._compute(key, how, tags, compute)
        finally:
            await lock.__aexit__(None, None, None)

    async def _enter(self, lock: Lock, key: str, how: Computation) -> dict[str, Any]:
        """Take the lock, or see that there is a value, which is returned, and nothing held."""
        entering = asyncio.ensure_future(lock.__aenter__())
        pause = FIRST_LOOK
        found: dict[str, Any] = {}
        try:
            while not found:
                done, _ = await asyncio.wait([entering], timeout=pause)
                if done:
                    await entering
                    return {}
                # Those who wait in line need not all come to its head when the value is there.
                found = await self._look(key, how)
                if self._place.away:
                    raise BackendUnavailableError("it went away while its lock was waited for")
                pause = min(pause * 2, LAST_LOOK)
        except BaseException:
            await to_the_end(_leave(lock, entering))
            raise
        await to_the_end(_leave(lock, entering))
        return found

    async def _look(self, key: str, how: Computation) -> dict[str, Any]:
        found = await self._place.look([key], how.namespace, count=False)
        return found if key in found and _is_usable(how, found[key]) else {}

    async def _compute(
        self, key: str, how: Computation, tags: tuple[str, ...], compute: Callable[[], Awaitable[Any]]
    ) -> Any:
        try:
            value = await compute()
        except Exception as error:
            packed = how.packed(error)
            if packed is None:
                raise
            try:
                await self._keep(key, packed, how, tags, negative=True)
            except EncodeError:
                pass  # its arguments cannot be kept, so it is not
            raise
        await self._keep(key, value, how, tags, negative=value is None)
        return value

    async def _keep(
        self, key: str, value: Any, how: Computation, tags: tuple[str, ...], *, negative: bool
    ) -> None:
        ttl = how.ttl_of(negative=negative)
        await self._place.keep({key: value}, how.namespace, ttl=ttl, jitter=how.jitter, tags=tags)


def cached(
    place: CachePlace, flight: SingleFlight, how: Computation, key: str | Callable[..., str] | None
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """See `Cache.cached`."""

    def decorate(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @functools.wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if callable(key):
                name = key(*args, **kwargs)
            elif key is not None:
                name = key
            else:
                name = f"{name_of(function)}:{await place.digest([list(args), dict(kwargs)])}"
            return await flight.once(
                name,
                full_key(name, how.namespace),
                how,
                how.tags_of(args, kwargs),
                lambda: run_function(function, *args, **kwargs),
            )

        return call

    return decorate


async def _leave(lock: Lock, entering: asyncio.Future[Any]) -> None:
    """Leave the line, or give back what was taken at the last moment."""
    entering.cancel()
    await asyncio.wait([entering])
    if not entering.cancelled() and entering.exception() is None:
        await lock.__aexit__(None, None, None)


def _is_usable(how: Computation, value: Any) -> bool:
    """Whether a value is a result here: an error that this function does not keep is none."""
    is_error = isinstance(value, dict) and value.keys() == {ERROR}
    return not is_error or how.error_of(value) is not None


def _result(how: Computation, value: Any) -> Any:
    error = how.error_of(value)
    if error is not None:
        raise error
    return value


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
