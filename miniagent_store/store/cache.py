"""Cached tool results and model answers: may be evicted, unlike `kv`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.options import TTL, parse_ttl_ms
from miniagent_store.store.background import Background
from miniagent_store.store.cache_place import CachePlace, check_tags
from miniagent_store.store.single_flight import Computation, SingleFlight, cached

P = ParamSpec("P")
R = TypeVar("R")
DEFAULT_NAMESPACE = "default"
# Of the TTL, by which values that were set together expire apart from each other.
JITTER = 0.1


class Cache:
    """Values of the value model by key, in namespaces that can be cleared as a whole.

    A cache that cannot be reached takes nobody down: `get` finds nothing, `set` keeps nothing, functions
    that are `cached` compute, and a warning is logged once a minute. `delete` and `clear` raise, since
    what they were to remove may still be there.
    """

    def __init__(self, place: CachePlace, background: Background) -> None:
        self._place = place
        self._flight = SingleFlight(place, background)

    @property
    def hits(self) -> int:
        """How many keys that this opened store looked for were there."""
        return self._place.hits

    @property
    def misses(self) -> int:
        """How many were not."""
        return self._place.misses

    async def key(self, *parts: Any) -> str:
        """A key out of anything: a digest of values of the value model, keyed where values are encrypted.

        It is the same in every process that has the store's keys, and says nothing about the values.
        """
        return await self._place.digest(list(parts))

    async def get(self, key: str, default: Any = None, *, namespace: str = DEFAULT_NAMESPACE) -> Any:
        """A value, or `default` if there is none."""
        return (await self.get_many([key], namespace=namespace)).get(key, default)

    async def get_many(self, keys: Iterable[str], *, namespace: str = DEFAULT_NAMESPACE) -> dict[str, Any]:
        """The values that are there, by key, in one round trip."""
        return await self._place.look(list(keys), namespace)

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
        await self._place.keep(values, namespace, ttl=ttl, jitter=jitter, tags=tags)

    async def delete(self, *keys: str, namespace: str = DEFAULT_NAMESPACE) -> bool:
        """Remove keys; whether any was there."""
        return await self.delete_many(keys, namespace=namespace) > 0

    async def delete_many(self, keys: Iterable[str], *, namespace: str = DEFAULT_NAMESPACE) -> int:
        """Remove keys in one round trip; how many were there.

        Raises:
            BackendUnavailableError: the cache cannot be reached; they may still be there.
        """
        return await self._place.remove(keys, namespace)

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
        return await self._place.clear(namespace, tag)

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
        checked_tags = tags if callable(tags) else check_tags(tags)
        if not lease > 0:
            raise InvalidArgumentError(f"lease must be above zero seconds, not {lease!r}")
        parse_ttl_ms(ttl)
        parse_ttl_ms(negative_ttl)
        how = Computation(namespace, ttl, jitter, checked_tags, negative_ttl, classes, lease)
        return cached(self._place, self._flight, how, key)
