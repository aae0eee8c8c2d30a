"""Cached tool results and model answers: may be evicted, unlike `kv`."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

from miniagent_store.backend import Backend, CacheItem
from miniagent_store.errors import InvalidArgumentError, StoreError
from miniagent_store.ids import check_id, join_id
from miniagent_store.options import TTL, parse_ttl_ms
from miniagent_store.serializer import Context
from miniagent_store.store.core import StoreCore
from miniagent_store.store.leases import LeaseQueue
from miniagent_store.store.retrying import Retrying
from miniagent_store.store.single_flight import AWAY, Computation, SingleFlight, cached
from miniagent_store.values import Stats

P = ParamSpec("P")
R = TypeVar("R")
logger = logging.getLogger("miniagent_store")
DEFAULT_NAMESPACE = "default"
# Of the TTL, by which values that were set together expire apart from each other.
JITTER = 0.1
# What is larger than this share of all that may be cached is not kept: too much would have to go for it.
LARGEST_SHARE = 16
# Seconds within which a cache has to answer, retries included; for which it is left alone where it did not;
# and between two warnings about it.
PATIENCE = 2.0
LEFT_ALONE = 1.0
BETWEEN_WARNINGS = 60.0


class Cache:
    """Values of the value model by key, in namespaces that can be cleared as a whole.

    A cache that cannot be reached takes nobody down: `get` finds nothing, `set` keeps nothing, functions
    that are `cached` compute, and a warning is logged once a minute. `delete` and `clear` raise, since
    what they were to remove may still be there.

    Args:
        core: of the store; its `place` keeps what is cached.
        queue: who waits for which lock.

    Attributes:
        hits, misses: of this opened store; each key that is looked for counts.
    """

    def __init__(self, core: StoreCore, queue: LeaseQueue) -> None:
        self._core, self._place = core, core.place
        self._flight = SingleFlight(self, core.place, queue)
        self._retrying = Retrying(min(core.place.options.deadline, PATIENCE), core.tell)
        self._left_alone_until = 0.0
        self._warned_at: float | None = None
        self.hits = self.misses = 0

    async def get(self, key: str, default: Any = None, *, namespace: str = DEFAULT_NAMESPACE) -> Any:
        """A value, or `default` if there is none."""
        return (await self.get_many([key], namespace=namespace)).get(key, default)

    async def get_many(self, keys: Iterable[str], *, namespace: str = DEFAULT_NAMESPACE) -> dict[str, Any]:
        """The values that are there, by key, in one round trip."""
        wanted = list(keys)
        found = await self.look(wanted, namespace)
        self.hits += len(found)
        self.misses += len(wanted) - len(found)
        return found

    async def look(self, keys: list[str], namespace: str) -> dict[str, Any]:
        """As `get_many`, and counts nothing."""
        full = [full_key(key, namespace) for key in keys]
        if not await self.prepare():
            return {}
        nothing: Sequence[bytes | None] = [None] * len(full)
        found = await self._unless_away("cache.get", lambda backend: backend.cache_get(full), nothing)
        return {
            key: self._core.coding.codec.decode(data, self._context(name))
            for key, name, data in zip(keys, full, found, strict=True)
            if data is not None
        }

    async def set(
        self,
        key: str,
        value: Any,
        *,
        ttl: TTL | None = 300,
        jitter: float = JITTER,
        tags: Iterable[str] = (),
        namespace: str = DEFAULT_NAMESPACE,
    ) -> None:
        """Keep a value.

        Args:
            key: printable, no braces, at most 512 bytes.
            value: anything of the value model. One that is larger than a sixteenth of ``cache_max_size``
                is not kept.
            ttl: seconds, or a text such as "5m"; "never" or None for no expiry.
            jitter: up to such a share of the TTL a value expires earlier, each by another, so that what
                was set together is not missing, and computed, all at once; 0 for exactly the TTL.
            tags: what `clear` can clear it by.
            namespace: what `clear` clears.
        """
        await self.set_many({key: value}, ttl=ttl, jitter=jitter, tags=tags, namespace=namespace)

    async def set_many(
        self,
        values: Mapping[str, Any],
        *,
        ttl: TTL | None = 300,
        jitter: float = JITTER,
        tags: Iterable[str] = (),
        namespace: str = DEFAULT_NAMESPACE,
    ) -> None:
        """Keep several values in one round trip, each as `set` does."""
        ttl_ms, checked = parse_ttl_ms(ttl), _check_tags(tags)
        if not 0 <= jitter < 1:
            raise InvalidArgumentError(f"jitter is a share of the ttl, from 0 to below 1, not {jitter!r}")
        if not await self.prepare():
            return
        items: list[CacheItem] = []
        too_large: list[CacheItem] = []
        for key, value in values.items():
            name = full_key(key, namespace)
            data = self._core.coding.codec.encode(value, self._context(name))
            item = CacheItem(name, data, _earlier(ttl_ms, jitter), checked)
            (too_large if self._is_too_large(item) else items).append(item)
        if items:
            await self._unless_away("cache.set", lambda backend: backend.cache_set(items), None)
        if too_large:
            # What is there is not the value any more.
            names = [item.key for item in too_large]
            await self._unless_away("cache.set", lambda backend: backend.cache_delete(names), 0)

    async def delete(self, *keys: str, namespace: str = DEFAULT_NAMESPACE) -> bool:
        """Remove keys; whether any was there."""
        return await self.delete_many(keys, namespace=namespace) > 0

    async def delete_many(self, keys: Iterable[str], *, namespace: str = DEFAULT_NAMESPACE) -> int:
        """Remove keys in one round trip; how many were there.

        Raises:
            BackendUnavailableError: the cache cannot be reached; they may still be there.
        """
        full = [full_key(key, namespace) for key in keys]
        await self._core.ready()
        await self._place.ready()
        return await self._place.retrying.attempt(
            "cache.delete", "", lambda _: self._place.backend.cache_delete(full)
        )

    async def clear(self, namespace: str | None = None, *, tag: str | None = None) -> int:
        """Remove all that is in a namespace, or has a tag, or both; how many there were.

        Args:
            namespace: with neither this nor `tag`, "default"; with `tag` alone, all namespaces.
            tag: as given to `set`.

        Raises:
            BackendUnavailableError: the cache cannot be reached; they may still be there.
        """
        if namespace is None and tag is None:
            namespace = DEFAULT_NAMESPACE
        start = "" if namespace is None else _prefix(namespace)
        if tag is not None:
            _check_tags([tag])
        await self._core.ready()
        await self._place.ready()
        return await self._place.retrying.attempt(
            "cache.clear", "", lambda _: self._place.backend.cache_clear(start, tag)
        )

    def cached(
        self,
        ttl: TTL | None = 300,
        key: str | Callable[..., str] | None = None,
        *,
        jitter: float = JITTER,
        tags: Iterable[str] | Callable[..., Iterable[str]] = (),
        negative_ttl: TTL | None = None,
        negative: type[Exception] | tuple[type[Exception], ...] = (),
        lease: float = 10,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
        """Decorate a function: one caller computes, all instances share the result.

        A function that is not async runs in a thread. One that raises raises for its own caller alone;
        those who wait compute for themselves. Where the cache cannot be reached, everyone computes.

        Args:
            ttl, jitter, namespace: as `set` takes them.
            key: a text, or a function of the arguments; by default the function's name and a digest of the
                arguments, which must then be of the value model.
            tags: as `set` takes them, or a function of the arguments.
            negative_ttl: how long None is kept, and the errors of `negative`; None for as long as others.
            negative: errors that are results: they are kept, and raised again for those who find them, as
                the class that is named here and with their arguments, if these are of the value model.
            lease: seconds that the others wait for one that computes and dies; while it lives they wait
                for as long as it takes.
        """
        classes = negative if isinstance(negative, tuple) else (negative,)
        checked_tags = tags if callable(tags) else _check_tags(tags)
        if not lease > 0:
            raise InvalidArgumentError(f"lease must be above zero seconds, not {lease!r}")
        parse_ttl_ms(ttl)
        parse_ttl_ms(negative_ttl)
        how = Computation(namespace, ttl, jitter, checked_tags, negative_ttl, classes, lease)
        return cached(self, self._flight, how, key)

    def digest(self, arguments: Any) -> str:
        """A stable hash of a value of the value model; keyed where values are encrypted."""
        return self._core.coding.codec.digest(arguments, self._context("")).hex()

    def counted(self, stats: Stats) -> Stats:
        """`stats` with what this cache has counted."""
        return replace(stats, cache_hits=self.hits, cache_misses=self.misses)

    @property
    def away(self) -> bool:
        """Whether it could not be reached a moment ago, and is left alone."""
        return time.monotonic() < self._left_alone_until

    def failed(self, error: Exception) -> None:
        """Leave it alone for a moment, and say so now and then."""
        now = time.monotonic()
        self._left_alone_until = now + LEFT_ALONE
        if self._warned_at is None or now - self._warned_at >= BETWEEN_WARNINGS:
            self._warned_at = now
            logger.warning("the cache cannot be used for now: %s", error)

    async def prepare(self) -> bool:
        """Have the key of values at hand; False if it cannot be had for now."""
        try:
            await self._core.fetch_cache_key()
        except AWAY as error:
            self.failed(error)
            return False
        return True

    async def open(self) -> None:
        """Connect to a place of its own; where that is not possible, it is tried again when used."""
        if self._place is not self._core:
            try:
                await self._place.ready()
            except StoreError as error:
                self.failed(error)

    async def close(self) -> None:
        """Let go of a place of its own; may be called twice."""
        self._left_alone_until = 0.0
        if self._place is not self._core:
            await self._place.close()

    async def _unless_away(
        self, operation: str, once: Callable[[Backend], Awaitable[R]], otherwise: R
    ) -> R:
        """What the backend answers; `otherwise` if it is away."""
        if self.away:
            return otherwise
        place = self._place
        try:
            await self._core.ready()
            await place.ready()
            return await self._retrying.attempt(operation, "", lambda _: once(place.backend))
        except AWAY as error:
            self.failed(error)
            return otherwise

    def _is_too_large(self, item: CacheItem) -> bool:
        limit = self._place.options.cache_max_size
        return limit is not None and item.size > limit // LARGEST_SHARE

    def _context(self, full_key: str) -> Context:
        return self._core.coding.cache_context(full_key)


def full_key(key: str, namespace: str) -> str:
    """The key of a backend."""
    return f"{_prefix(namespace)}{check_id(key, what='cache key')}"


def _prefix(namespace: str) -> str:
    # Escaped, so that no namespace is the start of another.
    return f"{join_id(check_id(namespace, what='cache namespace', limit=128))}/"


def _check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    if isinstance(tags, str):
        raise InvalidArgumentError(f"tags are several texts; write tags=[{tags!r}]")
    return tuple(dict.fromkeys(check_id(tag, what="cache tag", limit=128) for tag in tags))


def _earlier(ttl_ms: int | None, jitter: float) -> int | None:
    return None if ttl_ms is None else max(int(ttl_ms * (1 - random.uniform(0, jitter))), 1)
