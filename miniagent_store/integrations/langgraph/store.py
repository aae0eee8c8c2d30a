"""LangGraph's `BaseStore`: memories that outlive threads, over a session store."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from miniagent_store.errors import VersionConflictError
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.langgraph.items import StoredItem, ttl_seconds
from miniagent_store.integrations.langgraph.matching import fixed_part, matches_filter, matches_namespace
from miniagent_store.integrations.langgraph.places import (
    Namespace,
    Places,
    items_below,
    name_of,
    namespaces_below,
)
from miniagent_store.integrations.langgraph.vectors import Embedded, VectorIndex, likenesses, packed
from miniagent_store.store.kv import KeyValue
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL

with requires("langgraph-checkpoint", extra="langgraph"):
    from langgraph.store.base import (
        BaseStore,
        GetOp,
        IndexConfig,
        InvalidNamespaceError,
        ListNamespacesOp,
        Op,
        PutOp,
        Result,
        SearchOp,
        TTLConfig,
    )

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

# Batches that read at once in one loop; thousands of searches would wait for each other past any deadline.
READING = 32
_rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
Found = StoredItem | list[StoredItem] | set[Namespace] | None


class MiniAgentStore(BaseStore):
    """Keeps LangGraph's long-term memory in a session store.

    An item expires by its TTL, which reads renew, and is not found from then on, swept or not. A batch
    reads first and writes then: one commit for all items of the same first two labels. Searches without a
    query show the newest first; they, and those with one, read all items below the prefix.

    Args:
        store: a URL, a `SessionStore`, or a handle.
        name: of this store among others in the same place.
        index: how texts are embedded, for searches with a query.
        ttl: LangGraph's defaults: `default_ttl` in minutes, `refresh_on_read`.
    """

    supports_ttl = True
    handle: StoreHandle
    index_config: IndexConfig | None
    ttl_config: TTLConfig | None

    def __init__(
        self,
        store: str | StoreURL | SessionStore | StoreHandle | None = None,
        *,
        name: str = "default",
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        self.handle, self._name = handle_of(store), name
        self.index_config, self.ttl_config = index, ttl
        self._index = None if index is None else VectorIndex(index)
        self.embeddings: Embeddings | None = None if self._index is None else self._index.embeddings

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do several operations; blocks until they are done, whether a loop runs in this thread or not.

        Args:
            ops: of LangGraph.

        Returns:
            A result for each, in order; all are of the time before the puts of the same batch.

        Raises:
            InvalidNamespaceError: a label of a namespace is empty, no text, or has a period.
            StoreError: the store's.
        """
        batch = _Batch(ops, self._index, self._name)
        if self._index is not None:
            batch.embedded = self._index.embed(batch.ops)
        self.handle.run_blocking(batch.read)
        results = batch.results()
        if batch.writes:
            self.handle.run_blocking(batch.write)
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`, without blocking. Its commits end even if it is cancelled."""
        batch = _Batch(ops, self._index, self._name)
        if self._index is not None:
            batch.embedded = await self._index.aembed(batch.ops)
        await self.handle.run(batch.read)
        # Many vectors take long to compare.
        results = await asyncio.to_thread(batch.results) if batch.embedded.queries else batch.results()
        if batch.writes:
            await self.handle.run_to_end(batch.write)
        return results


class _Batch:
    """The operations of one call: what they read, then what they answer and write."""

    def __init__(self, ops: Iterable[Op], index: VectorIndex | None, name: str) -> None:
        self.ops = [_checked(op) for op in ops]
        self.embedded = Embedded()
        self._index, self._name = index, name
        self._found: list[Found] = []
        # The last of several puts of one item counts.
        self._puts: dict[str, tuple[PutOp, StoredItem | None]] = {}
        self._renewed: dict[str, StoredItem] = {}

    # Reading

    async def read(self, store: SessionStore) -> None:
        """Read what the operations ask for, all at once."""
        places = Places(store, self._name)
        async with _room():
            self._found = list(await asyncio.gather(*(_read(places, op) for op in self.ops)))

    def results(self) -> list[Result]:
        """What each operation returns; notes what is to be written."""
        return [self._result(op, found) for op, found in zip(self.ops, self._found, strict=True)]

    def _result(self, op: Op, found: Any) -> Result:
        if isinstance(op, PutOp):
            self._puts[name_of(op.namespace, op.key)] = (op, found)
            return None
        if isinstance(op, ListNamespacesOp):
            return _listing(op, found)
        if isinstance(op, SearchOp):
            chosen = self._chosen(op, found)
            self._renew(op, [item for item, _ in chosen])
            return [item.search_item(score) for item, score in chosen]
        if found is None:
            return None
        self._renew(op, [found])
        return found.item()  # type: ignore[no-any-return]

    def _chosen(self, op: SearchOp, found: list[StoredItem]) -> list[tuple[StoredItem, float | None]]:
        query = self.embedded.queries.get(op.query or "")
        if query is None:
            chosen: list[tuple[StoredItem, float | None]] = [(item, None) for item in found]
        else:
            scores = likenesses(query, [item.vectors for item in found])
            scored = list(zip(found, scores, strict=True))
            alike = [(item, score) for item, score in scored if score is not None]
            alike.sort(key=lambda each: each[1], reverse=True)
            # Those that were not embedded come last, as in LangGraph's own stores.
            chosen = [*alike, *((item, None) for item, score in scored if score is None)]
        return chosen[op.offset : op.offset + op.limit]

    def _renew(self, op: GetOp | SearchOp, read: list[StoredItem]) -> None:
        if op.refresh_ttl:
            self._renewed.update({item.name: item for item in read if item.is_due})

    # Writing

    @property
    def writes(self) -> bool:
        """Whether anything is to be written."""
        return bool(self._puts or self._renewed)

    async def write(self, store: SessionStore) -> None:
        """Write the puts, one commit a collection; then renew what was read."""
        places = Places(store, self._name)
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        put: dict[KeyValue, list[tuple[str, StoredItem | None]]] = defaultdict(list)
        for name, (op, before) in self._puts.items():
            put[places.of(op.namespace)].append((name, self._made(op, before, now)))
        await asyncio.gather(*(_put(collection, items) for collection, items in put.items()))
        renewed: dict[KeyValue, list[StoredItem]] = defaultdict(list)
        for name, item in self._renewed.items():
            if name not in self._puts:
                renewed[places.of(item.namespace)].append(item)
        await asyncio.gather(*(_renew(collection, items) for collection, items in renewed.items()))

    def _made(self, op: PutOp, before: StoredItem | None, now: str) -> StoredItem | None:
        if op.value is None:
            return None
        texts = self._index.texts(op) if self._index is not None else []
        return StoredItem(
            op.namespace,
            op.key,
            dict(op.value),
            before.created if before is not None else now,
            now,
            ttl_seconds(op.ttl),
            [packed(self.embedded.texts[text]) for text in texts],
        )


def _room() -> asyncio.Semaphore:
    """Of the loop that runs here: one for each."""
    return _rooms.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(READING))


def _checked(op: Op) -> Op:
    """An operation whose namespaces are tuples of labels."""
    if isinstance(op, GetOp | PutOp):
        return op._replace(namespace=_labels(op.namespace))
    if isinstance(op, SearchOp):
        return op._replace(namespace_prefix=_labels(op.namespace_prefix))
    if isinstance(op, ListNamespacesOp):
        conditions = tuple(each._replace(path=_labels(each.path)) for each in op.match_conditions or ())
        return op._replace(match_conditions=conditions)
    raise ValueError(f"unknown operation {type(op).__name__}")


def _labels(namespace: Iterable[str]) -> Namespace:
    labels = tuple(namespace)
    for label in labels:
        # LangGraph's rule; other stores of it join labels by periods.
        if not isinstance(label, str) or not label or "." in label or "\0" in label:
            raise InvalidNamespaceError(
                "a label of a namespace is a text, not empty, without periods and NUL"
            )
    return labels


async def _read(places: Places, op: Op) -> Found:
    if isinstance(op, SearchOp):
        return await _search(places, op)
    if isinstance(op, ListNamespacesOp):
        prefixes = [
            fixed_part(each.path) for each in op.match_conditions or () if each.match_type == "prefix"
        ]
        longest = max(prefixes, key=len, default=())
        parts = await asyncio.gather(*(namespaces_below(each, longest) for each in places.below(longest)))
        return {namespace for part in parts for namespace in part}
    item = await places.of(op.namespace).item(name_of(op.namespace, op.key))
    return None if item is None else StoredItem.read(item)


async def _search(places: Places, op: SearchOp) -> list[StoredItem]:
    """All items that match, the newest first."""

    async def matching(collection: KeyValue) -> list[StoredItem]:
        items = [StoredItem.read(each) async for each in items_below(collection, op.namespace_prefix)]
        return [item for item in items if matches_filter(item.value, op.filter)]

    parts = await asyncio.gather(*map(matching, places.below(op.namespace_prefix)))
    found = sorted((item for part in parts for item in part), key=lambda item: item.name)
    found.sort(key=lambda item: item.updated, reverse=True)
    return found


def _listing(op: ListNamespacesOp, found: set[Namespace]) -> list[Namespace]:
    conditions = op.match_conditions or ()
    shown = {each for each in found if all(matches_namespace(each, one) for one in conditions)}
    if op.max_depth is not None:
        shown = {each[: op.max_depth] for each in shown}
    return sorted(shown)[op.offset : op.offset + op.limit]


async def _put(collection: KeyValue, items: list[tuple[str, StoredItem | None]]) -> None:
    async with collection.batch() as batch:
        for name, item in items:
            if item is None:
                batch.state.delete(name)
            else:
                batch.state.set(name, item.stored(), ttl=item.ttl)


async def _renew(collection: KeyValue, items: list[StoredItem]) -> None:
    """Let items live for their whole TTL again; those that were changed meanwhile do so anyway."""
    try:
        async with collection.batch() as batch:
            for item in items:
                batch.state.set(item.name, item.stored(), ttl=item.ttl, if_version=item.version)
    except VersionConflictError:
        if len(items) > 1:
            await asyncio.gather(*map(partial(_renew, collection), ([item] for item in items)))
