"""Checkpoints newest first, a page at a time: of a namespace, a thread, or all threads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from miniagent_store.integrations.langgraph import names
from miniagent_store.integrations.langgraph.memory import Memory
from miniagent_store.integrations.langgraph.reading import Reader
from miniagent_store.integrations.langgraph.rows import Found, Row
from miniagent_store.store.protocol import SessionStore

PAGE = 32
THREADS = 200


@dataclass(frozen=True, slots=True)
class Listing:
    """Which checkpoints are asked for.

    Attributes:
        memory, serde: of the saver.
        thread_id: of this thread; all by default.
        namespace: in this namespace; all by default.
        checkpoint_id: only this one.
        before: only those before this one.
        filter: only those whose metadata have these values.
        limit: at most so many.
    """

    memory: Memory
    serde: SerializerProtocol
    thread_id: Any = None
    namespace: str | None = None
    checkpoint_id: str | None = None
    before: str | None = None
    filter: Mapping[str, Any] | None = None
    limit: int | None = None

    async def pages(self, store: SessionStore) -> AsyncGenerator[list[tuple[Any, Found]], None]:
        """Pages of a thread's id and a checkpoint."""
        left = self.limit
        async for thread_id, session_id in self._threads(store):
            reader = Reader(store, session_id, self.memory, self.serde)
            async for rows in self._rows(reader):
                if left is not None and left <= 0:
                    return
                chosen = [row for row in rows if self._matches(row)][:left]
                found = await reader.whole(chosen) if chosen else []
                if found:
                    left = None if left is None else left - len(found)
                    yield [(thread_id, each) for each in found]

    async def _threads(self, store: SessionStore) -> AsyncIterator[tuple[Any, str]]:
        if self.thread_id is not None:
            yield self.thread_id, names.session_of(self.thread_id)
            return
        cursor: str | None = None
        while True:
            page = await store.list(kind=names.KIND, cursor=cursor, limit=THREADS)
            for session in page.items:
                yield names.thread_of(session.id), session.id
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _rows(self, reader: Reader) -> AsyncIterator[list[Row]]:
        if self.namespace is not None and self.checkpoint_id:
            row = await reader.row(self.namespace, self.checkpoint_id)
            if row is not None:
                yield [row]
            return
        if self.namespace is None:
            # Namespaces stand one after another: the newest over all are known when all were read.
            rows = sorted(await reader.rows(None), key=lambda row: row.checkpoint_id, reverse=True)
            for first in range(0, len(rows), PAGE):
                yield rows[first : first + PAGE]
            return
        start = names.checkpoint(self.namespace, self.before) if self.before else None
        while True:
            rows = await reader.rows(self.namespace, start=start, limit=PAGE)
            fresh = rows[1:] if start and rows and name_of(rows[0]) == start else rows
            if fresh:
                yield fresh
            if len(rows) < PAGE:
                return
            start = name_of(rows[-1])

    def _matches(self, row: Row) -> bool:
        if self.checkpoint_id and row.checkpoint_id != self.checkpoint_id:
            return False
        if self.before and row.checkpoint_id >= self.before:
            return False
        if not self.filter:
            return True
        metadata = self.serde.loads_typed(row.metadata)
        return all(metadata.get(key) == value for key, value in self.filter.items())


def name_of(row: Row) -> str:
    """The name under which a checkpoint stands."""
    return names.checkpoint(row.namespace, row.checkpoint_id)
