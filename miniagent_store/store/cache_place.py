"""Where cached values are kept, by values and not by bytes; a place that is away harms nobody."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from miniagent_store.backend import Backend, CacheItem
from miniagent_store.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    CapacityError,
    DurabilityError,
    InvalidArgumentError,
    KeyProviderError,
    OutcomeUnknownError,
    StoreError,
)
from miniagent_store.ids import check_id, join_id
from miniagent_store.options import TTL, parse_ttl_ms
from miniagent_store.serializer import Context
from miniagent_store.store.core import StoreCore
from miniagent_store.store.retrying import Retrying

R = TypeVar("R")
logger: logging.Logger = logging.getLogger("miniagent_store")
# What is larger than this share of all that may be cached is not kept: too much would have to go for it.
LARGEST_SHARE = 16
# What says that a cache cannot be had, not that its caller did something wrong.
AWAY = (
    AccessDeniedError,
    BackendUnavailableError,
    CapacityError,
    DurabilityError,
    KeyProviderError,
    OutcomeUnknownError,
    ConnectionError,
    TimeoutError,
)
# Seconds within which a cache has to answer, retries included; for which it is left alone where it did not;
# and between two warnings about it.
PATIENCE = 2.0
LEFT_ALONE = 1.0
BETWEEN_WARNINGS = 60.0


class CachePlace:
    """The cached values of a store.

    Args:
        core: of the store; the backend of its `place` keeps them.

    Attributes:
        hits, misses: keys that were looked for.
    """

    core: StoreCore
    hits: int
    misses: int

    def __init__(self, core: StoreCore) -> None:
        self._core, self.core = core, core.place
        self._retrying = Retrying(min(self.core.options.deadline, PATIENCE), core.tell)
        if core.observing is not None:
            core.observing.attach_retrying(self._retrying)
        self._left_alone_until = 0.0
        self._warned_at: float | None = None
        self.hits = self.misses = 0

    async def open(self) -> None:
        """Connect to a place of its own; where that is not possible, it is tried again when used."""
        if self.core is not self._core:
            try:
                await self.core.ready()
            except StoreError as error:
                self.failed(error)

    async def close(self) -> None:
        """Let go of a place of its own; may be called twice."""
        self._left_alone_until = 0.0
        if self.core is not self._core:
            await self.core.close()

    # Whether it is away

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

    async def _unless_away(
        self, operation: str, once: Callable[[Backend], Awaitable[R]], otherwise: R
    ) -> R:
        """What the backend answers; `otherwise` if it is away."""
        if self.away:
            return otherwise
        try:
            await self._core.ready()
            await self.core.ready()
            return await self._retrying.attempt(operation, "", lambda _: once(self.core.backend))
        except AWAY as error:
            self.failed(error)
            return otherwise

    async def prepare(self) -> bool:
        """Have the key of values at hand; False if it cannot be had for now."""
        try:
            await self._core.fetch_cache_key()
        except AWAY as error:
            self.failed(error)
            return False
        return True

    # Values

    async def look(self, keys: Sequence[str], namespace: str, *, count: bool = True) -> dict[str, Any]:
        """The values that are there, by key.

        Args:
            count: whether these are hits and misses.
        """
        found = await self._found(keys, namespace)
        if count:
            self.hits += len(found)
            self.misses += len(keys) - len(found)
        return found

    async def _found(self, keys: Sequence[str], namespace: str) -> dict[str, Any]:
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

    async def keep(
        self,
        values: Mapping[str, Any],
        namespace: str,
        *,
        ttl: TTL | None,
        jitter: float,
        tags: Iterable[str],
    ) -> None:
        """Keep values; those that are too large are not kept."""
        ttl_ms, checked = parse_ttl_ms(ttl), check_tags(tags)
        if not 0 <= jitter < 1:
            raise InvalidArgumentError(f"jitter is a share of the ttl, from 0 to below 1, not {jitter!r}")
        if not await self.prepare():
            return
        items: list[CacheItem] = []
        too_large: list[str] = []
        for key, value in values.items():
            name = full_key(key, namespace)
            data = self._core.coding.codec.encode(value, self._context(name))
            item = CacheItem(name, data, _earlier(ttl_ms, jitter), checked)
            if self._is_too_large(item):
                too_large.append(name)
            else:
                items.append(item)
        if items:
            await self._unless_away("cache.set", lambda backend: backend.cache_set(items), None)
        if too_large:
            # What is there is not the value any more.
            await self._unless_away("cache.set", lambda backend: backend.cache_delete(too_large), 0)

    async def remove(self, keys: Iterable[str], namespace: str) -> int:
        """Remove keys; how many were there."""
        full = [full_key(key, namespace) for key in keys]
        return await self._surely("cache.delete", lambda backend: backend.cache_delete(full))

    async def clear(self, namespace: str | None, tag: str | None) -> int:
        """Remove what is in a namespace and has a tag; None for any."""
        start = "" if namespace is None else _prefix(namespace)
        if tag is not None:
            check_tags([tag])
        return await self._surely("cache.clear", lambda backend: backend.cache_clear(start, tag))

    async def _surely(self, operation: str, once: Callable[[Backend], Awaitable[R]]) -> R:
        await self._core.ready()
        await self.core.ready()
        return await self.core.retrying.attempt(operation, "", lambda _: once(self.core.backend))

    async def digest(self, arguments: Any) -> str:
        """A stable hash of a value of the value model; keyed where values are encrypted."""
        await self.prepare()
        return self._core.coding.codec.digest(arguments, self._context("")).hex()

    def _is_too_large(self, item: CacheItem) -> bool:
        limit = self.core.options.cache_max_size
        return limit is not None and item.size > limit // LARGEST_SHARE

    def _context(self, full_key: str) -> Context:
        return self._core.coding.cache_context(full_key)


def full_key(key: str, namespace: str) -> str:
    """The key of a backend."""
    return f"{_prefix(namespace)}{check_id(key, what='cache key')}"


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """`tags`, each once.

    Raises:
        InvalidArgumentError: one of them cannot be a tag.
    """
    if isinstance(tags, str):
        raise InvalidArgumentError(f"tags are several texts; write tags=[{tags!r}]")
    return tuple(dict.fromkeys(check_id(tag, what="cache tag", limit=128) for tag in tags))


def _prefix(namespace: str) -> str:
    # Escaped, so that no namespace is the start of another.
    return f"{join_id(check_id(namespace, what='cache namespace', limit=128))}/"


def _earlier(ttl_ms: int | None, jitter: float) -> int | None:
    return None if ttl_ms is None else max(int(ttl_ms * (1 - random.uniform(0, jitter))), 1)
