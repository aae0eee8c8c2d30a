"""LlamaIndex's `BaseKVStore`, over which its document and index stores keep what they keep."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from miniagent_store import SessionStore, join_id
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.ids import MAX_STATE_NAME_BYTES
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.plain_json import plain_json
from miniagent_store.store.kv import KeyValue
from miniagent_store.url import StoreURL

with requires("llama-index-core", extra="llama-index"):
    from llama_index.core.storage.kvstore.types import DEFAULT_BATCH_SIZE, DEFAULT_COLLECTION, BaseKVStore

T = TypeVar("T")
SHARDS = 16
_PLAIN, _HASHED = "=", "#"


class MiniAgentKVStore(BaseKVStore):
    """Keys and values in collections, each spread over several records (and so slots of a Cluster).

    Keys are any texts. Values are dicts of what JSON carries. Blocking calls may come from any thread.

    Args:
        store: a URL, an open `SessionStore`, or a `StoreHandle`; by default as `open_store`.
        shards: over how many records a collection is spread; always the same for one collection.

    Example:
        >>> docstore = KVDocumentStore(MiniAgentKVStore("redis://localhost:6379/0"))
    """

    def __init__(
        self, store: str | StoreURL | SessionStore | StoreHandle | None = None, *, shards: int = SHARDS
    ) -> None:
        self._handle = handle_of(store)
        self._shards = shards

    # Blocking

    def put(self, key: str, val: dict[str, Any], collection: str = DEFAULT_COLLECTION) -> None:
        """Set a value."""
        self.put_all([(key, val)], collection)

    def put_all(
        self,
        kv_pairs: list[tuple[str, dict[str, Any]]],
        collection: str = DEFAULT_COLLECTION,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        """Set values; one commit a shard, whatever `batch_size` is."""
        self._handle.run_blocking(self._in(collection, _putting(kv_pairs)))

    def get(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        """A value, or None."""
        return self._handle.run_blocking(self._in(collection, _getting(key)))

    def get_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, dict[str, Any]]:
        """All values of a collection, by key."""
        return self._handle.run_blocking(self._in(collection, _get_all))

    def delete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """Remove a value; whether it was there."""
        return self._handle.run_blocking(self._in(collection, _deleting(key)))

    # Asynchronous

    async def aput(self, key: str, val: dict[str, Any], collection: str = DEFAULT_COLLECTION) -> None:
        """As `put`."""
        await self.aput_all([(key, val)], collection)

    async def aput_all(
        self,
        kv_pairs: list[tuple[str, dict[str, Any]]],
        collection: str = DEFAULT_COLLECTION,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        """As `put_all`."""
        await self._handle.run_to_end(self._in(collection, _putting(kv_pairs)))

    async def aget(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        """As `get`."""
        return await self._handle.run(self._in(collection, _getting(key)))

    async def aget_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, dict[str, Any]]:
        """As `get_all`."""
        return await self._handle.run(self._in(collection, _get_all))

    async def adelete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """As `delete`."""
        return await self._handle.run_to_end(self._in(collection, _deleting(key)))

    def close(self) -> None:
        """Let go of connections that were opened here; calls afterwards raise."""
        self._handle.close()

    def _in(
        self, collection: str, work: Callable[[KeyValue], Awaitable[T]]
    ) -> Callable[[SessionStore], Awaitable[T]]:
        name = join_id("llama_index", collection)
        return lambda store: work(store.kv(name, shards=self._shards))


def _putting(pairs: list[tuple[str, dict[str, Any]]]) -> Callable[[KeyValue], Awaitable[None]]:
    values = dict(_stored(key, plain_json(value, "a value")) for key, value in pairs)
    return lambda collection: collection.set_many(values)


def _getting(key: str) -> Callable[[KeyValue], Awaitable[dict[str, Any] | None]]:
    name, _ = _stored(key, None)

    async def get(collection: KeyValue) -> dict[str, Any] | None:
        value = await collection.get(name)
        return None if value is None else _told(name, value)[1]

    return get


def _deleting(key: str) -> Callable[[KeyValue], Awaitable[bool]]:
    name, _ = _stored(key, None)
    return lambda collection: collection.delete(name)


async def _get_all(collection: KeyValue) -> dict[str, dict[str, Any]]:
    return dict(_told(name, value) for name, value in await collection.scan())


def _stored(key: str, value: Any) -> tuple[str, Any]:
    """The name under which a value stands, and what stands there.

    A key that may not be a name stands with its value, under its hash.
    """
    encoded = key.encode("utf-8", "surrogatepass")
    if key.isprintable() and len(encoded) < MAX_STATE_NAME_BYTES:
        return _PLAIN + key, value
    return _HASHED + hashlib.sha256(encoded).hexdigest(), {"key": key, "value": value}


def _told(name: str, value: Any) -> tuple[str, dict[str, Any]]:
    """The key and the value that `_stored` was given."""
    return (name[1:], value) if name[0] == _PLAIN else (value["key"], value["value"])
