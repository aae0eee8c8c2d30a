"""LangGraph's `BaseCache`: results of nodes, shared by all instances."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.integrations.lacking import requires
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL

with requires("langgraph-checkpoint", extra="langgraph"):
    from langgraph.cache.base import BaseCache, FullKey, Namespace, ValueT
    from langgraph.checkpoint.serde.base import SerializerProtocol


class MiniAgentNodeCache(BaseCache[ValueT]):
    """Keeps results of LangGraph's nodes in the store's cache, where they may be evicted.

    A cache that cannot be reached takes no graph down: nothing is found and nothing kept. Only `clear`
    raises.

    Args:
        store: a URL, a `SessionStore`, or a handle.
        serde: LangGraph's serializer; by default its JSON and msgpack, without pickle.
        namespace: of the store's cache, for this one alone.
    """

    handle: StoreHandle

    def __init__(
        self,
        store: str | StoreURL | SessionStore | StoreHandle | None = None,
        *,
        serde: SerializerProtocol | None = None,
        namespace: str = "langgraph-nodes",
    ) -> None:
        super().__init__(serde=serde)
        self.handle, self._namespace = handle_of(store), namespace
        self._given = serde

    def __reduce__(self) -> tuple[Any, ...]:
        # LangGraph's own serializer does not pickle.
        return partial(type(self), serde=self._given, namespace=self._namespace), (self.handle,)

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, ValueT]:
        """The values that are there, in one round trip."""
        return self._loaded(self.handle.run_blocking(lambda store: self._get(store, keys)))

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, ValueT]:
        """As `get`."""
        return self._loaded(await self.handle.run(lambda store: self._get(store, keys)))

    def set(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> None:
        """Keep values, each for so many seconds; None for as long as there is room."""
        dumped = self._dumped(pairs)
        self.handle.run_blocking(lambda store: self._set(store, dumped))

    async def aset(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> None:
        """As `set`."""
        dumped = self._dumped(pairs)
        await self.handle.run_to_end(lambda store: self._set(store, dumped))

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Forget the values of LangGraph's namespaces, each exactly; of all if none are given.

        Raises:
            BackendUnavailableError: they may still be there.
        """
        self.handle.run_blocking(lambda store: self._clear(store, namespaces))

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """As `clear`."""
        await self.handle.run_to_end(lambda store: self._clear(store, namespaces))

    async def _get(self, store: SessionStore, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        named = {await _key(store, key): key for key in keys}
        found = await store.cache.get_many(named, namespace=self._namespace)
        return {named[name]: dumped for name, dumped in found.items()}

    async def _set(
        self, store: SessionStore, dumped: Mapping[FullKey, tuple[list[Any], int | None]]
    ) -> None:
        # Those of one namespace and TTL together.
        groups: dict[tuple[Namespace, int | None], dict[str, Any]] = defaultdict(dict)
        for (namespace, key), (value, ttl) in dumped.items():
            groups[tuple(namespace), ttl][await _key(store, (namespace, key))] = value
        for (namespace, ttl), values in groups.items():
            tag = await _tag(store, namespace)
            await store.cache.set_many(values, ttl=ttl, jitter=0, tags=[tag], namespace=self._namespace)

    async def _clear(self, store: SessionStore, namespaces: Sequence[Namespace] | None) -> None:
        if namespaces is None:
            await store.cache.clear(self._namespace)
        for namespace in namespaces or ():
            await store.cache.clear(self._namespace, tag=await _tag(store, namespace))

    def _dumped(
        self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]
    ) -> dict[FullKey, tuple[list[Any], int | None]]:
        return {key: (list(self.serde.dumps_typed(value)), ttl) for key, (value, ttl) in pairs.items()}

    def _loaded(self, dumped: Mapping[FullKey, Any]) -> dict[FullKey, ValueT]:
        return {key: self.serde.loads_typed((kind, data)) for key, (kind, data) in dumped.items()}


async def _key(store: SessionStore, key: FullKey) -> str:
    return await store.cache.key(list(key[0]), key[1])


async def _tag(store: SessionStore, namespace: Namespace) -> str:
    return await store.cache.key(list(namespace))
