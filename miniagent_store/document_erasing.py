"""What `DocumentBackend` does to tell which namespaces there are, and to erase one.

Keys of documents hold a digest of the namespace, so its name is noted in a document of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from miniagent_store.cancellation import to_the_end
from miniagent_store.documents import KINDS, NOTES, DocumentAccess, space_of
from miniagent_store.errors import BackendUnavailableError
from miniagent_store.rules.item_codec import Item
from miniagent_store.rules.namespaces import check_erasable, start_of_tenants

MOST_WALKS = 5


class DocumentErasing(DocumentAccess):
    """Walks over documents of all kinds."""

    async def erase(self, cursor: str | None, limit: int) -> tuple[Mapping[str, int], str | None]:
        check_erasable(self.own_namespace)
        walk, found_any, after = _parse(cursor)
        keys = [key for kind in KINDS for key in sorted(await self._keys(kind))]
        left = [key for key in keys if _order(key) > _order(after)] if after else keys
        page = left[:limit]
        for key in page:
            await to_the_end(self._transact(key, lambda _: (None, None), noted=False))
        kinds = (key.partition("/")[0] for key in page)
        removed = Counter("sessions" if kind == "session" else kind for kind in kinds)
        found_any = found_any or bool(page)
        if len(left) > limit:
            return removed, f"{walk},{int(found_any)},{page[-1]}"
        # Each document is whole, so what others write again and again may be left.
        if found_any and walk + 1 < MOST_WALKS:
            return removed, f"{walk + 1},0,"
        await to_the_end(self._transact(self._note_key, lambda _: (None, None), noted=False))
        self._noted.pop(self.own_namespace, None)
        return removed, None

    async def namespaces(self, cursor: str | None, limit: int) -> tuple[Sequence[str], str | None]:
        start = start_of_tenants(self.own_namespace)
        items = [Item.decode(await self._fetch(key)) for key in await self._all_keys(NOTES)]
        names = sorted(
            item.name
            for item in items
            if item and item.name.startswith(start) and item.name > (cursor or "")
        )
        page = names[:limit]
        held = [name for name in page if await self._holds(name)]
        return held, page[-1] if len(names) > limit else None

    async def _holds(self, namespace: str) -> bool:
        for kind in KINDS:
            if await self._all_keys(f"{kind}/{space_of(namespace)}"):
                return True
        return False

    async def _all_keys(self, prefix: str) -> list[str]:
        self._check_open()
        try:
            return await self.keys(prefix)
        except OSError as error:
            raise BackendUnavailableError(f"{self.name}: {error}; see what holds its documents") from error


def _parse(cursor: str | None) -> tuple[int, bool, str]:
    walk, found_any, after = (cursor or "0,0,").split(",", 2)
    return int(walk), found_any == "1", after


def _order(key: str) -> tuple[int, str]:
    return KINDS.index(key.partition("/")[0]), key
