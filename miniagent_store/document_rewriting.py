"""What `DocumentBackend` does for a sweep that writes stored bytes anew, such as a rotation of keys."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from miniagent_store.backend import Rewrite, RewriteResult
from miniagent_store.cancellation import to_the_end
from miniagent_store.documents import DocumentAccess
from miniagent_store.rules import apply_rewrite, is_expired
from miniagent_store.rules.document_codec import Document
from miniagent_store.rules.item_codec import Item


class DocumentRewriting(DocumentAccess):
    """Walks over sessions and cached values, and replaces bytes. Cursors are keys of documents."""

    @abstractmethod
    def now_ms(self) -> int: ...

    async def kinds(self) -> Sequence[str]:
        heads = [await self._head(key) for key in await self._keys("session")]
        return sorted({head.record.kind for head in heads if head and head.record})

    async def session_ids(
        self, kind: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[str], str | None]:
        keys, next_cursor = await self._keys_after("session", cursor, limit)
        heads = [await self._head(key) for key in keys]
        found = [head.session_id for head in heads if head and head.record and head.record.kind == kind]
        return found, next_cursor

    async def rewrite(self, rewrite: Rewrite) -> RewriteResult:
        def work(document: Document) -> RewriteResult:
            return apply_rewrite(document.rows(), rewrite, self.now_ms())

        return await to_the_end(self._change(rewrite.session_id, work))

    async def cache_scan(
        self, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, bytes]], str | None]:
        keys, next_cursor = await self._keys_after("cache", cursor, limit)
        items = [Item.decode(await self._fetch(key)) for key in keys]
        now = self.now_ms()
        found = [(item.name, item.value[0]) for item in items if item and not is_expired(item.due_ms, now)]
        return found, next_cursor

    async def cache_replace(self, key: str, old: bytes, new: bytes) -> bool:
        def change(item: Item | None) -> tuple[Item | None, bool]:
            if item is None or item.value[0] != old or is_expired(item.due_ms, self.now_ms()):
                return item, False
            return Item(item.name, item.due_ms, (new, *item.value[1:])), True

        return await to_the_end(self._change_item("cache", key, change))

    async def _keys_after(self, kind: str, cursor: str | None, limit: int) -> tuple[list[str], str | None]:
        keys = sorted(key for key in await self._keys(kind) if cursor is None or key > cursor)
        page = keys[:limit]
        return page, page[-1] if len(keys) > limit else None
