"""Keys and values apart from any conversation."""

from __future__ import annotations

import asyncio
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from miniagent_store.backend import Create, ReadPlan
from miniagent_store.errors import ConfigurationError, InvalidArgumentError, VersionConflictError
from miniagent_store.ids import check_name, join_id
from miniagent_store.options import TTL
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.state import StateHandle
from miniagent_store.values import StateItem, from_ms, to_ms

MAX_SHARDS = 4096
_SHARDS = "shards="


class KeyValue:
    """A collection of keys and values: what a user prefers, an application's settings.

    It is the state of records of kind "kv": made by the first write, without a TTL of its own. Each value
    may have one, and versions make compare-and-set.

    Args:
        core: of the store.
        record_id: of the collection's first record.
        shards: over how many records (and so slots) to spread a big collection; fixed by the first write.
    """

    def __init__(self, core: StoreCore, record_id: str, *, shards: int = 1) -> None:
        if not isinstance(shards, int) or not 1 <= shards <= MAX_SHARDS:
            raise InvalidArgumentError(f"shards must be a whole number from 1 to {MAX_SHARDS}")
        self._core, self._record_id, self._count = core, record_id, shards
        create = Create(kind="kv", tags=(f"{_SHARDS}{shards}",), keep_existing=True)
        ids = [record_id, *(join_id(record_id, str(number)) for number in range(1, shards))]
        self._create, self._ids = create, ids
        self._shards = [StateHandle(core, each, create=create) for each in ids]
        self._checked = False

    def _index(self, name: str) -> int:
        check_name(name, what="key")
        # crc32 is the same in every process and for ever, unlike hash().
        return zlib.crc32(name.encode()) % self._count

    async def _shard(self, name: str, *, write: bool = False) -> StateHandle:
        index = self._index(name)
        await self._check_shards(write=write)
        return self._shards[index]

    async def _check_shards(self, *, write: bool) -> None:
        if self._checked:
            return
        record = (await self._core.read(ReadPlan(self._record_id))).record
        if record is None:
            if not write:
                return
            first = Batch(self._core, self._record_id, create=self._create)
            await first.commit("kv.open")
            record = (await self._core.read(ReadPlan(self._record_id))).record
        tags = record.tags if record else ()
        there = next((int(tag[len(_SHARDS) :]) for tag in tags if tag.startswith(_SHARDS)), self._count)
        if there != self._count:
            raise ConfigurationError(
                f"collection {self._record_id!r} was first written with shards={there}; "
                f"open it with that, not with {self._count}"
            )
        self._checked = True

    # Reading

    async def item(self, name: str) -> StateItem | None:
        """A value with its version and expiry; None if it is absent."""
        return await (await self._shard(name)).item(name)

    async def get(self, name: str, default: Any = None) -> Any:
        """A value, or `default` if it is absent."""
        return await (await self._shard(name)).get(name, default)

    async def get_many(self, names: Iterable[str]) -> dict[str, Any]:
        """The values that are there, by name; one round trip a shard, all at once."""
        await self._check_shards(write=False)
        by_shard: dict[int, list[str]] = defaultdict(list)
        wanted = list(names)
        for name in wanted:
            by_shard[self._index(name)].append(name)
        parts = await asyncio.gather(
            *(self._shards[index].get_many(some) for index, some in by_shard.items())
        )
        found = {name: value for part in parts for name, value in part.items()}
        return {name: found[name] for name in wanted if name in found}

    async def scan(
        self,
        prefix: str = "",
        *,
        start: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[StateItem]:
        """Names that start with `prefix`, in order, over all shards; see `StateHandle.scan`."""
        await self._check_shards(write=False)
        parts = await asyncio.gather(
            *(shard.scan(prefix, start=start, limit=limit, reverse=reverse) for shard in self._shards)
        )
        items = [item for part in parts for item in part]
        items.sort(key=lambda item: item.name, reverse=reverse)
        return items[:limit]

    async def ttl(self, name: str) -> float | None:
        """Seconds until a value expires; None if it is absent or never does."""
        item = await self.item(name)
        if item is None or item.expires_at is None:
            return None
        now = from_ms(self._core.backend.now_ms())
        return max((to_ms(item.expires_at) - to_ms(now)) / 1000, 0.0)

    # Changing

    async def set(
        self,
        name: str,
        value: Any,
        *,
        ttl: TTL | None = None,
        if_version: int | None = None,
        commit_id: str | None = None,
    ) -> int:
        """Set a value; its new version. See `StateHandle.set`."""
        shard = await self._shard(name, write=True)
        return await shard.set(name, value, ttl=ttl, if_version=if_version, commit_id=commit_id)

    async def set_many(self, values: Mapping[str, Any], *, ttl: TTL | None = None) -> None:
        """Set several values; atomic within a shard."""
        by_shard: dict[int, list[str]] = defaultdict(list)
        for name in values:
            by_shard[self._index(name)].append(name)
        if by_shard:
            await self._check_shards(write=True)
        for index, names in by_shard.items():
            batch = Batch(self._core, self._ids[index], create=self._create)
            for name in names:
                batch.state.set(name, values[name], ttl=ttl)
            await batch.commit("kv.set_many")

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[Batch]:
        """Any number of changes of a collection in one commit at the end of an ``async with``.

        Raises:
            ConfigurationError: the collection is spread over shards, which no commit spans.
        """
        if self._count > 1:
            raise ConfigurationError(
                f"collection {self._record_id!r} has {self._count} shards; a batch needs one"
            )
        await self._check_shards(write=True)
        async with Batch(self._core, self._record_id, create=self._create) as batch:
            yield batch

    async def set_if_absent(
        self, name: str, value: Any, *, ttl: TTL | None = None, commit_id: str | None = None
    ) -> bool:
        """Set a value unless there is one; whether it was set."""
        shard = await self._shard(name, write=True)
        return await shard.set_if_absent(name, value, ttl=ttl, commit_id=commit_id)

    async def delete(
        self, name: str, *, if_version: int | None = None, commit_id: str | None = None
    ) -> bool:
        """Remove a value; whether it was there."""
        shard = await self._shard(name, write=True)
        return await shard.delete(name, if_version=if_version, commit_id=commit_id)

    async def pop(self, name: str, default: Any = None) -> Any:
        """Remove a value and return it; `default` if it is absent. One caller gets it."""
        shard = await self._shard(name)
        while True:
            item = await shard.item(name)
            if item is None:
                return default
            try:
                await shard.delete(name, if_version=item.version)
            except VersionConflictError:
                continue
            return item.value

    async def add(self, name: str, delta: int = 1, *, commit_id: str | None = None) -> int:
        """Add to a counter; its value afterwards. See `StateHandle.add`."""
        shard = await self._shard(name, write=True)
        return await shard.add(name, delta, commit_id=commit_id)

    async def clear(self) -> None:
        """Remove all values; one commit a shard that is there."""
        for index, record_id in enumerate(self._ids):
            if (await self._core.read(ReadPlan(record_id))).record is not None:
                await self._shards[index].delete_prefix("")
