"""py-key-value's `BaseStore` over the collections of a session store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, SupportsFloat

from miniagent_store.errors import VersionConflictError
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.ids import join_id
from miniagent_store.integrations.key_value.entries import dumped, loaded, name_of, seconds_left
from miniagent_store.integrations.lacking import requires
from miniagent_store.store.kv import KeyValue
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL

with requires("py-key-value-aio", extra="key-value"):
    from key_value.aio._utils.managed_entry import ManagedEntry
    from key_value.aio.errors import InvalidTTLError
    from key_value.aio.stores.base import (
        BaseCullStore,
        BaseDestroyCollectionStore,
        BaseDestroyStore,
        BaseEnumerateCollectionsStore,
        BaseEnumerateKeysStore,
    )

SHARDS = 16


class MiniAgentKeyValueStore(
    BaseEnumerateKeysStore,
    BaseEnumerateCollectionsStore,
    BaseDestroyCollectionStore,
    BaseDestroyStore,
    BaseCullStore,
):
    """Keeps py-key-value's entries in collections of a session store, each over several shards.

    Any text is a key or a collection. Beyond the protocol it has `put_if_absent` and
    `compare_and_set`.

    Args:
        store: a URL, a `SessionStore`, or a handle.
        name: of this store among others in the same place; no name begins with another and "/".
        shards: records, and so slots of a cluster, that a collection is spread over; fixed by its first
            write.
        default_collection: where entries stand for which no collection is named.
    """

    handle: StoreHandle

    def __init__(
        self,
        store: str | StoreURL | SessionStore | StoreHandle | None = None,
        *,
        name: str = "default",
        shards: int = SHARDS,
        default_collection: str | None = None,
    ) -> None:
        self.handle, self._name, self._shards = handle_of(store), name, shards
        # Collections that this object has noted down as there.
        self._noted: set[str] = set()
        super().__init__(default_collection=default_collection, stable_api=True)

    def __reduce__(self) -> tuple[Any, ...]:
        remade = partial(
            type(self), name=self._name, shards=self._shards, default_collection=self.default_collection
        )
        return remade, (self.handle,)

    # What is written first makes a collection. Releases before 0.5 keep locks here that belong to a loop.

    async def setup(self) -> None:
        """Nothing is to be set up."""

    async def setup_collection(self, *, collection: str) -> None:
        """Nothing is to be set up."""

    # Entries

    async def _get_managed_entry(self, *, collection: str, key: str) -> ManagedEntry | None:
        (found,) = await self._get_managed_entries(collection=collection, keys=[key])
        return found

    async def _get_managed_entries(
        self, *, collection: str, keys: Sequence[str]
    ) -> list[ManagedEntry | None]:
        names = [name_of(key) for key in keys]
        found = await self.handle.run(lambda store: self._entries(store, collection).get_many(names))
        return [loaded(found[name]) if name in found else None for name in names]

    async def _put_managed_entry(self, *, collection: str, key: str, managed_entry: ManagedEntry) -> None:
        await self._put(collection, {key: managed_entry}, seconds_left(managed_entry))

    async def _put_managed_entries(
        self,
        *,
        collection: str,
        keys: Sequence[str],
        managed_entries: Sequence[ManagedEntry],
        ttl: float | None,
        created_at: datetime,
        expires_at: datetime | None,
    ) -> None:
        await self._put(collection, dict(zip(keys, managed_entries, strict=True)), ttl)

    async def _put(self, collection: str, entries: Mapping[str, ManagedEntry], ttl: float | None) -> None:
        values = {name_of(key): dumped(key, entry) for key, entry in entries.items()}

        async def work(store: SessionStore) -> None:
            await self._note(store, collection)
            if ttl is not None and ttl <= 0:
                await _delete(self._entries(store, collection), values)
            else:
                await self._entries(store, collection).set_many(values, ttl=ttl)

        await self.handle.run_to_end(work)

    async def _delete_managed_entry(self, *, key: str, collection: str) -> bool:
        return await self._delete_managed_entries(keys=[key], collection=collection) > 0

    async def _delete_managed_entries(self, *, keys: Sequence[str], collection: str) -> int:
        names = dict.fromkeys(map(name_of, keys))
        return await self.handle.run_to_end(lambda store: _delete(self._entries(store, collection), names))

    # Compare and set

    async def get_with_version(
        self, key: str, *, collection: str | None = None
    ) -> tuple[dict[str, Any] | None, int]:
        """A value and its version; None and 0 if it is absent."""
        chosen = collection or self.default_collection
        item = await self.handle.run(lambda store: self._entries(store, chosen).item(name_of(key)))
        return (None, 0) if item is None else (dict(loaded(item.value).value), item.version)

    async def put_if_absent(
        self,
        key: str,
        value: Mapping[str, Any],
        *,
        collection: str | None = None,
        ttl: SupportsFloat | None = None,
    ) -> bool:
        """Set a value unless there is one; whether it was set."""
        return await self.compare_and_set(key, value, version=0, collection=collection, ttl=ttl) is not None

    async def compare_and_set(
        self,
        key: str,
        value: Mapping[str, Any],
        *,
        version: int,
        collection: str | None = None,
        ttl: SupportsFloat | None = None,
    ) -> int | None:
        """Set a value if it is still at `version`, so that no change by another writer is lost.

        Args:
            key: in the collection.
            value: the new one.
            version: that `get_with_version` gave; 0: the key must be absent.
            collection: the default one unless given.
            ttl: seconds; for ever unless given.

        Returns:
            The new version; None if another one was there, and nothing was set.

        Raises:
            SerializationError: the value cannot be written as JSON.
            InvalidTTLError: the TTL is not above zero.
        """
        chosen = collection or self.default_collection
        seconds = None if ttl is None else float(ttl)
        if seconds is not None and not seconds > 0:
            raise InvalidTTLError(ttl=seconds)
        now = datetime.now(UTC)
        expires_at = None if seconds is None else now + timedelta(seconds=seconds)
        kept = dumped(key, ManagedEntry(value=value, created_at=now, expires_at=expires_at))

        async def work(store: SessionStore) -> int | None:
            await self._note(store, chosen)
            entries = self._entries(store, chosen)
            try:
                return await entries.set(name_of(key), kept, ttl=seconds, if_version=version)
            except VersionConflictError:
                return None

        return await self.handle.run_to_end(work)

    # Enumerating and destroying

    async def _get_collection_keys(self, *, collection: str, limit: int | None = None) -> list[str]:
        items = await self.handle.run(lambda store: self._entries(store, collection).scan(limit=limit))
        return [item.value["key"] for item in items]

    async def _get_collection_names(self, *, limit: int | None = None) -> list[str]:
        items = await self.handle.run(lambda store: self._collections(store).scan(limit=limit))
        return [item.value for item in items]

    async def _delete_collection(self, *, collection: str) -> bool:
        # The note of it stays, since another process may just write to it: listings may show empty ones.
        async def work(store: SessionStore) -> bool:
            entries = self._entries(store, collection)
            was_there = bool(await entries.scan(limit=1))
            await entries.clear()
            return was_there

        return await self.handle.run_to_end(work)

    async def _delete_store(self) -> bool:
        async def work(store: SessionStore) -> bool:
            names = [item.value for item in await self._collections(store).scan()]
            await asyncio.gather(*(self._entries(store, name).clear() for name in names))
            return True

        return await self.handle.run_to_end(work)

    async def _cull(self) -> None:
        await self.handle.run_to_end(lambda store: store.sweep())

    # Where they are

    def _entries(self, store: SessionStore, collection: str) -> KeyValue:
        return store.kv(f"{self._place}/entries/{name_of(collection)}", shards=self._shards)

    def _collections(self, store: SessionStore) -> KeyValue:
        return store.kv(f"{self._place}/collections")

    @property
    def _place(self) -> str:
        return f"key-value/{join_id(self._name)}"

    async def _note(self, store: SessionStore, collection: str) -> None:
        """Write down, once, that there is a collection."""
        if collection not in self._noted:
            await self._collections(store).set_if_absent(name_of(collection), collection)
            self._noted.add(collection)


async def _delete(entries: KeyValue, names: Iterable[str]) -> int:
    """Remove entries; how many were there."""
    return sum(await asyncio.gather(*map(entries.delete, names)))
