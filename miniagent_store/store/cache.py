"""Cached tool results and model answers: may be evicted, unlike `kv`."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

from miniagent_store.ids import check_id, join_id
from miniagent_store.options import TTL, parse_ttl_ms
from miniagent_store.serializer import Context
from miniagent_store.store.core import StoreCore
from miniagent_store.store.leases import LeaseQueue, Lock

P = ParamSpec("P")
R = TypeVar("R")
MISSING: Any = object()
DEFAULT_NAMESPACE = "default"
# How long one instance may compute before another takes over; renewed while it lives.
FLIGHT_TTL = 10.0


class Cache:
    """Values of the value model by key, in namespaces that can be cleared as a whole."""

    def __init__(self, core: StoreCore, queue: LeaseQueue) -> None:
        self._core, self._queue = core, queue
        self._flights: dict[str, asyncio.Future[Any]] = {}

    async def get(self, key: str, default: Any = None, *, namespace: str = DEFAULT_NAMESPACE) -> Any:
        """A value, or `default` if there is none."""
        return (await self.get_many([key], namespace=namespace)).get(key, default)

    async def get_many(self, keys: Iterable[str], *, namespace: str = DEFAULT_NAMESPACE) -> dict[str, Any]:
        """The values that are there, by key, in one round trip."""
        await self._core.ready()
        await self._core.fetch_cache_key()
        wanted = list(keys)
        full = [_full_key(key, namespace) for key in wanted]
        found = await self._core.retrying.attempt(
            "cache.get", "", lambda _: self._core.backend.cache_get(full)
        )
        return {
            key: self._core.coding.codec.decode(data, self._context(name))
            for key, name, data in zip(wanted, full, found, strict=True)
            if data is not None
        }

    async def set(
        self, key: str, value: Any, *, ttl: TTL | None = 300, namespace: str = DEFAULT_NAMESPACE
    ) -> None:
        """Keep a value.

        Args:
            key: printable, no braces, at most 512 bytes.
            value: anything of the value model.
            ttl: seconds, or a text such as "5m"; "never" or None for no expiry.
            namespace: what `clear` clears.
        """
        await self.set_many({key: value}, ttl=ttl, namespace=namespace)

    async def set_many(
        self,
        values: Mapping[str, Any],
        *,
        ttl: TTL | None = 300,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> None:
        """Keep several values in one round trip."""
        await self._core.ready()
        await self._core.fetch_cache_key()
        ttl_ms = parse_ttl_ms(ttl)
        items = []
        for key, value in values.items():
            name = _full_key(key, namespace)
            items.append((name, self._core.coding.codec.encode(value, self._context(name)), ttl_ms))
        await self._core.retrying.attempt("cache.set", "", lambda _: self._core.backend.cache_set(items))

    async def delete(self, *keys: str, namespace: str = DEFAULT_NAMESPACE) -> bool:
        """Remove keys; whether any was there."""
        await self._core.ready()
        full = [_full_key(key, namespace) for key in keys]
        gone = await self._core.retrying.attempt(
            "cache.delete", "", lambda _: self._core.backend.cache_delete(full)
        )
        return gone > 0

    async def clear(self, namespace: str = DEFAULT_NAMESPACE) -> int:
        """Remove all keys of a namespace; how many there were."""
        await self._core.ready()
        prefix = _prefix(namespace)
        return await self._core.retrying.attempt(
            "cache.clear", "", lambda _: self._core.backend.cache_clear(prefix)
        )

    def cached(
        self,
        ttl: TTL | None = 300,
        key: str | Callable[..., str] | None = None,
        *,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
        """Decorate a function: one caller computes, all instances share the result.

        A function that is not async runs in a thread.

        Args:
            ttl: how long a result is kept.
            key: a text, or a function of the arguments; by default the function's name and a digest of the
                arguments, which must then be of the value model.
            namespace: what `clear` clears.
        """

        def decorate(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
            @functools.wraps(function)
            async def call(*args: P.args, **kwargs: P.kwargs) -> R:
                await self._core.fetch_cache_key()
                name = self._key_of(function, key, args, kwargs)
                return await self._once(name, namespace, ttl, lambda: _run(function, *args, **kwargs))

            return call

        return decorate

    def _key_of(
        self, function: Callable[..., Any], key: str | Callable[..., str] | None, args: Any, kwargs: Any
    ) -> str:
        if callable(key):
            return key(*args, **kwargs)
        if key is not None:
            return key
        digest = self._core.coding.codec.digest([list(args), dict(kwargs)], self._context("")).hex()
        return f"{function.__module__}.{function.__qualname__}:{digest}".replace("<", "(").replace(">", ")")

    async def _once(
        self, key: str, namespace: str, ttl: TTL | None, compute: Callable[[], Awaitable[R]]
    ) -> R:
        full = _full_key(key, namespace)
        flight = self._flights.get(full)
        while flight is not None:
            await asyncio.wait([flight])
            if not flight.cancelled() and flight.exception() is None:
                return flight.result()  # type: ignore[no-any-return]
            # The one who computed failed or was cancelled: its error is its own, and we try ourselves.
            flight = self._flights.get(full)
        mine: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._flights[full] = mine
        try:
            value = await self._compute(key, full, namespace, ttl, compute)
        except BaseException:
            mine.cancel()
            raise
        else:
            mine.set_result(value)
            return value
        finally:
            del self._flights[full]

    async def _compute(
        self,
        key: str,
        full: str,
        namespace: str,
        ttl: TTL | None,
        compute: Callable[[], Awaitable[R]],
    ) -> R:
        value = await self.get(key, MISSING, namespace=namespace)
        if value is not MISSING:
            return value  # type: ignore[no-any-return]
        async with Lock(self._core, self._queue, f"cache/{full}", ttl=FLIGHT_TTL, wait=3600):
            value = await self.get(key, MISSING, namespace=namespace)
            if value is not MISSING:
                return value  # type: ignore[no-any-return]
            result = await compute()
            await self.set(key, result, ttl=ttl, namespace=namespace)
            return result

    def _context(self, full_key: str) -> Context:
        return self._core.coding.cache_context(full_key)


async def _run(function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
    if inspect.iscoroutinefunction(function):
        return await function(*args, **kwargs)
    # Plain functions come from the blocking face, where nothing else would fit.
    result: Any = await asyncio.to_thread(function, *args, **kwargs)
    value: R = await result if inspect.isawaitable(result) else result
    return value


def _full_key(key: str, namespace: str) -> str:
    return f"{_prefix(namespace)}{check_id(key, what='cache key')}"


def _prefix(namespace: str) -> str:
    # Escaped, so that no namespace is the start of another.
    return f"{join_id(check_id(namespace, what='cache namespace', limit=128))}/"
