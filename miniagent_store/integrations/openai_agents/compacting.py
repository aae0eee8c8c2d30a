"""What the SDK's compaction looks for in a session, so that it replaces history in one commit.

`OpenAIResponsesCompactionSession` finds these methods by their names, which are private to the SDK. Without
them it clears the history and adds the compacted one; a crash in between loses both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from miniagent_store.errors import SessionNotFoundError, VersionConflictError
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.openai_agents.items import Item, as_json, items_of
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Entry, Position

PAGE = 500


@dataclass(frozen=True, slots=True)
class CompactionSnapshot:
    """The end of a history, and the way to replace it if it is still what it was.

    Attributes:
        items: the items read.
        complete: whether they are the whole history.
        replace_suffix: ``await replace_suffix(start, output)`` puts `output` in the place of
            ``items[start:]``; whether it did.
    """

    items: list[Item]
    complete: bool
    replace_suffix: Callable[[int, list[Item]], Awaitable[bool]]


class CompactionHooks(ABC):
    """The hooks, over the session's own reading and writing."""

    _id: str
    _handle: StoreHandle
    # Items keep their ids here, so they are compared with them.
    _ignore_ids_for_matching = False

    @abstractmethod
    async def _read_with_position(
        self, store: SessionStore, limit: int
    ) -> tuple[Sequence[Entry], Position | None]: ...

    @abstractmethod
    def _batch(self, store: SessionStore, *, create: bool = False) -> Any: ...

    @abstractmethod
    def _check_turn(self) -> None: ...

    @abstractmethod
    def _stores_plainly(self) -> bool: ...

    async def _get_compaction_snapshot(
        self, limit: int, *, prune_prefix: Callable[[Item], bool] | None = None
    ) -> CompactionSnapshot | None:
        """The latest `limit` items; None where a subclass has changed how items are stored."""
        if not self._stores_plainly():
            return None
        entries, position = await self._handle.run(lambda store: self._read_with_position(store, limit + 1))
        complete = len(entries) <= limit
        entries = entries[-limit:] if limit > 0 else ()

        async def replace_suffix(start: int, output: list[Item]) -> bool:
            self._check_turn()
            plain = [as_json(item) for item in output]
            replaced = entries[start:]
            if position is None or not replaced:
                return False
            seen = position

            async def replace(store: SessionStore) -> bool:
                try:
                    pruned = await self._pruned(store, replaced[0].seq, prune_prefix)
                    async with self._batch(store) as batch:
                        batch.expect_tail(seen)
                        if pruned:
                            batch.trim(before=pruned)
                        batch.replace([], from_seq=replaced[0].seq)
                        batch.append(*plain, dedupe=False)
                except (VersionConflictError, SessionNotFoundError):
                    return False
                return True

            return await self._handle.run_to_end(replace)

        return CompactionSnapshot(items_of(entries), complete, replace_suffix)

    async def _atomic_replace_items(self, items: list[Item]) -> bool:
        """Put `items` in the place of the whole history; False where a subclass stores them elsewhere."""
        if not self._stores_plainly():
            return False
        self._check_turn()
        plain = [as_json(item) for item in items]

        async def replace(store: SessionStore) -> None:
            async with self._batch(store, create=True) as batch:
                batch.replace([], from_seq=1)
                batch.append(*plain, dedupe=False)

        await self._handle.run_to_end(replace)
        return True

    async def _pruned(
        self, store: SessionStore, before: int, prune_prefix: Callable[[Item], bool] | None
    ) -> int | None:
        """The sequence up to which (exclusive) the history begins with items that may go; None: none."""
        first_kept, after = None, 0
        while prune_prefix is not None:
            page = await store.entries(self._id, after=after, before=before, limit=PAGE)
            for entry in page:
                if not entry.redacted and not prune_prefix(dict(entry.value)):
                    return first_kept
                first_kept, after = entry.seq + 1, entry.seq
            if len(page) < PAGE:
                break
        return first_kept
