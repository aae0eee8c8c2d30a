"""Strands' `Storage`: bytes under keys, as `SnapshotSessionManager` and others write them."""

from __future__ import annotations

import builtins
import copy
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from miniagent_store.errors import SessionNotFoundError, StoreError, VersionConflictError
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.ids import join_id
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.seen import Seen, read_seen, write_seen
from miniagent_store.integrations.strands.keys import (
    Place,
    beginning_of,
    key_of,
    place_of,
    place_of_all,
)
from miniagent_store.store.protocol import SessionStore

with requires("strands-agents", extra="strands"):
    from strands.storage import storage as _contract
    from strands.storage.storage import Storage, StorageSearchResult
    from strands.types.exceptions import StorageError

if TYPE_CHECKING:
    from strands.storage.search.types import SearchStrategy

    from miniagent_store import Batch

# Private, and so perhaps not there: how Strands knows a storage whose keys it need not put below its own.
_NAMESPACED: object = getattr(_contract, "_NAMESPACED", None)
_NOT_COPIED = {"_seen", "_lock", "_namespaced"}
KIND = "strands-storage"
_DATA = "data/"
_NAME = "name/"  # beside each value, so that listing reads no values


class MiniAgentStorage(Storage[str, str]):
    """Bytes under keys, on any store: pass it as ``storage=``.

    What stands below the first two segments of a key (``session/<session id>``) is the state of one
    session of the store: one TTL, one place. A value that was read through this object is written only if
    it is still what was read, so a second writer gets a `StorageError` and overwrites nothing. That
    memory belongs to this object: give each session manager its own, with one handle for all.

    Args:
        store: a URL, a `SessionStore` or a `StoreHandle`.
        prefix: the first part of the ids of its sessions.
        search_strategy: what indexes each value that is written, and searches; the words of all keys and
            values by default.
    """

    def __init__(
        self,
        store: str | SessionStore | StoreHandle,
        *,
        prefix: str = "strands-storage",
        search_strategy: SearchStrategy[Any] | None = None,
    ) -> None:
        self._handle = handle_of(store)
        self._prefix = prefix
        self._search_strategy = search_strategy
        self._namespace = ""
        self._forget()

    def _forget(self) -> None:
        self._seen: dict[Place, Seen] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _NOT_COPIED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()
        if self._namespace:
            self._namespaced = _NAMESPACED

    def namespace(self, prefix: str) -> Self:
        """The storage of the keys below ``prefix/``, with a memory of its own of what was read.

        Raises:
            StorageError: the prefix is not valid.
        """
        with _as_storage_errors():
            below = beginning_of(prefix).rstrip("/")
        scoped = copy.copy(self)
        if below:
            scoped._namespace += f"{below}/"
        scoped._namespaced = _NAMESPACED
        return scoped

    async def read(self, key: str) -> bytes | None:
        """The bytes under a key; None if there are none.

        Raises:
            StorageError: the key is not valid, the store cannot be reached, or something else stands there.
        """
        with _as_storage_errors():
            place = self._place(key)
            data, seen = await self._handle.run(lambda store: _read(store, place))
        with self._lock:
            self._seen[place] = seen
        return data

    async def write(self, key: str, data: bytes) -> None:
        """Set the bytes under a key, in one commit.

        Raises:
            StorageError: as `read`; or the key was read through this object and changed since.
        """
        with _as_storage_errors():
            place = self._place(key)
            with self._lock:
                seen = self._seen.get(place)

            async def work(store: SessionStore) -> None:
                written = await _write(store, place, bytes(data), seen)
                # Here, since the caller may be cancelled meanwhile.
                if seen is not None:
                    with self._lock:
                        self._seen[place] = written

            await self._handle.run_to_end(work)
        if self._search_strategy is not None:
            try:
                await self._search_strategy.index(self, beginning_of(key).rstrip("/"), data)
            except Exception as error:
                raise StorageError("the value was written, but not indexed") from error

    async def delete(self, key: str) -> None:
        """Remove a key, if it is there.

        Raises:
            StorageError: as `read`.
        """
        with _as_storage_errors():
            place = self._place(key)
            await self._handle.run_to_end(lambda store: _delete(store, place))
        with self._lock:
            self._seen.pop(place, None)

    async def list(self, query: str = "") -> builtins.list[str]:
        """The keys that start with `query`, in order.

        A query of two segments and a slash or more is one read. A shorter one looks at all sessions of this
        kind.

        Raises:
            StorageError: as `read`.
        """
        with _as_storage_errors():
            beginning = self._namespace + beginning_of(query)
            place = place_of_all(self._prefix, beginning)
            if place is not None:
                keys = await self._handle.run(lambda store: _keys(store, self._prefix, place))
            else:
                keys = await self._handle.run(lambda store: _all_keys(store, self._prefix))
        skipped = len(self._namespace)
        return sorted(key[skipped:] for key in keys if key.startswith(beginning))

    async def search(self, query: str) -> builtins.list[StorageSearchResult]:
        """Keys whose names or values hold words of `query`, best first; reads every value.

        With a `search_strategy`, what that finds.
        """
        if self._search_strategy is not None:
            return await self._search_strategy.search(self, query)
        # Through a copy: what a search reads must not count as read by who writes here.
        return await super(MiniAgentStorage, copy.copy(self)).search(query)

    def _place(self, key: str) -> Place:
        # The key by itself must be valid: a namespace does not make a key of "".
        place_of(self._prefix, key)
        return place_of(self._prefix, self._namespace + key)


@contextmanager
def _as_storage_errors() -> Iterator[None]:
    try:
        yield
    except VersionConflictError as error:
        raise StorageError(
            "another writer changed or deleted this value since it was read; nothing was written, "
            "read it again (build the agent anew) and repeat"
        ) from error
    except StoreError as error:
        raise StorageError(str(error)) from error


async def _read(store: SessionStore, place: Place) -> tuple[bytes | None, Seen]:
    value, seen = await read_seen(store, place.session_id, _DATA + place.name)
    if value is not None and not isinstance(value, bytes):
        raise StorageError("what stands under this key was not written by a Strands storage")
    return value, seen


async def _write(store: SessionStore, place: Place, data: bytes, seen: Seen | None) -> Seen:
    name = _DATA + place.name

    def note(batch: Batch) -> None:
        batch.state.set_if_absent(_NAME + place.name, True)

    if seen is not None:
        return await write_seen(store, place.session_id, name, data, seen, kind=KIND, more=note)
    async with store.batch(place.session_id, create=True, kind=KIND) as batch:
        batch.state.set(name, data)
        note(batch)
    return Seen.after(batch)


async def _delete(store: SessionStore, place: Place) -> None:
    try:
        async with store.batch(place.session_id) as batch:
            batch.state.delete(_DATA + place.name)
            batch.state.delete(_NAME + place.name)
    except SessionNotFoundError:
        return


async def _keys(store: SessionStore, prefix: str, place: Place) -> builtins.list[str]:
    try:
        items = await store.state(place.session_id).scan(_NAME + place.name)
    except SessionNotFoundError:
        return []
    return [key_of(prefix, Place(place.session_id, item.name[len(_NAME) :])) for item in items]


async def _all_keys(store: SessionStore, prefix: str) -> builtins.list[str]:
    root = join_id(prefix)
    sessions = {each async for each in _all_sessions(store) if f"{each}/".startswith(f"{root}/")}
    return [key for each in sessions for key in await _keys(store, prefix, Place(each, ""))]


async def _all_sessions(store: SessionStore) -> AsyncIterator[str]:
    cursor: str | None = None
    while True:
        # Oldest first: what changes meanwhile comes again at the end, and is not missed.
        page = await store.list(kind=KIND, order="last_activity", cursor=cursor, limit=1000)
        for session in page:
            yield session.id
        cursor = page.next_cursor
        if cursor is None:
            return
