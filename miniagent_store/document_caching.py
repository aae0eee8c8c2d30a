"""What `DocumentBackend` does for cached values: each is a document."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence

from miniagent_store.backend import CacheItem
from miniagent_store.cancellation import to_the_end
from miniagent_store.documents import DocumentAccess
from miniagent_store.rules import Cached, Growth, Hits, cache_victims, is_expired
from miniagent_store.rules.item_codec import Item


class DocumentCaching(DocumentAccess):
    """Cached values. An item holds (value, last use in ms, tags)."""

    _growth: Growth
    _hits: Hits

    @abstractmethod
    def now_ms(self) -> int: ...

    async def cache_get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        found = [Item.decode(await self._fetch(self._key("cache", key))) for key in keys]
        now = self.now_ms()
        live = [None if item is None or is_expired(item.due_ms, now) else item for item in found]
        for key in self._hits.worth_noting((item.name for item in live if item is not None), now):
            await to_the_end(self._change_item("cache", key, self._used))
        return [None if item is None else item.value[0] for item in live]

    async def cache_set(self, items: Sequence[CacheItem]) -> None:
        now = self.now_ms()
        for each in items:
            due = None if each.ttl_ms is None else now + each.ttl_ms
            await to_the_end(self._put(Item(each.key, due, (each.value, now, each.tags))))
        limit = self._growth.over(sum(each.size for each in items))
        if limit is not None:
            known = [(item.name, _known(item)) async for item in self._cached()]
            for key in cache_victims(known, limit, now):
                await to_the_end(self._remove("cache", key))

    async def cache_delete(self, keys: Sequence[str]) -> int:
        removed = [await to_the_end(self._remove("cache", key)) for key in keys]
        now = self.now_ms()
        return sum(1 for item in removed if item is not None and not is_expired(item.due_ms, now))

    async def cache_clear(self, prefix: str, tag: str | None = None) -> int:
        keys = [
            item.name
            async for item in self._cached()
            if item.name.startswith(prefix) and (tag is None or tag in item.value[2])
        ]
        return await self.cache_delete(keys)

    async def _cached(self) -> AsyncIterator[Item]:
        for key in await self._keys("cache"):
            item = Item.decode(await self._fetch(key))
            if item is not None:
                yield item

    async def _put(self, item: Item) -> None:
        await self._change_item("cache", item.name, lambda _: (item, None))

    def _used(self, item: Item | None) -> tuple[Item | None, None]:
        if item is None:
            return None, None
        value, _, tags = item.value
        return Item(item.name, item.due_ms, (value, self.now_ms(), tags)), None

    async def _remove(self, kind: str, name: str) -> Item | None:
        return await self._change_item(kind, name, lambda item: (None, item))


def _known(item: Item) -> Cached:
    value, used_ms, tags = item.value
    return Cached(CacheItem(item.name, value, None, tags).size, used_ms, item.due_ms)
