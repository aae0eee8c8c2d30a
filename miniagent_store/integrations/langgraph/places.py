"""Where an item of LangGraph's store stands: its name, and the collection that holds it."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from urllib.parse import unquote

from miniagent_store.ids import join_id
from miniagent_store.store.kv import KeyValue
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import StateItem

Namespace = tuple[str, ...]
# Collections, so that all users' memories do not weigh on one slot of a cluster. Fixed for ever: what was
# written is looked for by it.
SPREAD = 16
# Labels of a namespace that choose the collection: ("memories", user) and (user, "memories") both spread.
CHOOSING = 2
# Items that are read at once.
PAGE = 500
_AFTER_NAMESPACE = "//"


def name_of(namespace: Namespace, key: str) -> str:
    """The name of an item: first its namespace, then, after an empty part, its key."""
    return f"{join_id(*namespace)}{_AFTER_NAMESPACE}{join_id(key)}"


def prefix_of(namespace: Namespace) -> str:
    """What the names of all items in a namespace and below it begin with."""
    return f"{join_id(*namespace)}/" if namespace else ""


def place_of(name: str) -> tuple[Namespace, str]:
    """The namespace and the key that a name was made of."""
    namespace, _, key = name.partition(_AFTER_NAMESPACE)
    return tuple(_unescaped(part) for part in namespace.split("/")), _unescaped(key)


def _unescaped(part: str) -> str:
    return "" if part == "%" else unquote(part, errors="surrogatepass")


def _index(namespace: Namespace) -> int:
    return zlib.crc32(join_id(*namespace[:CHOOSING]).encode()) % SPREAD


class Places:
    """The collections of one of LangGraph's stores.

    Args:
        store: which holds them.
        name: of LangGraph's store.
    """

    def __init__(self, store: SessionStore, name: str) -> None:
        self._store, self._name = store, name

    def of(self, namespace: Namespace) -> KeyValue:
        """The collection that holds the items of a namespace."""
        return self._collection(_index(namespace))

    def below(self, namespace: Namespace) -> list[KeyValue]:
        """The collections that may hold items in a namespace and below it."""
        if len(namespace) >= CHOOSING:
            return [self.of(namespace)]
        return [self._collection(index) for index in range(SPREAD)]

    def _collection(self, index: int) -> KeyValue:
        return self._store.kv(f"{join_id('langgraph-store', self._name)}/{index}")


async def items_below(collection: KeyValue, namespace: Namespace) -> AsyncIterator[StateItem]:
    """All items of a collection in a namespace and below it, by name."""
    prefix = prefix_of(namespace)
    start: str | None = None
    while True:
        page = await collection.scan(prefix, start=start, limit=PAGE)
        for item in page:
            if item.name != start:
                yield item
        if len(page) < PAGE:
            return
        start = page[-1].name


async def namespaces_below(collection: KeyValue, namespace: Namespace) -> set[Namespace]:
    """The namespaces of a collection that have items, without reading all items of a big one."""
    found: set[Namespace] = set()
    prefix, start = prefix_of(namespace), None
    while True:
        page = await collection.scan(prefix, start=start, limit=PAGE)
        found.update(place_of(item.name)[0] for item in page)
        if len(page) < PAGE:
            return found
        # The first name behind all items of the last namespace: "0" follows "/".
        last, _, _ = page[-1].name.partition(_AFTER_NAMESPACE)
        start = f"{last}/0"
