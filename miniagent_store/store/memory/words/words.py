"""The words of a scope, kept up to date with its record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from miniagent_store.errors import MissingExtraError
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout
from miniagent_store.store.memory.filters import holds
from miniagent_store.store.memory.following import changes_since
from miniagent_store.store.memory.words.contract import IndexedText, WordIndex
from miniagent_store.store.memory.words.tokens import tokens
from miniagent_store.values import StateItem, to_ms
from miniagent_store.vector_index import IndexQuery


class Words:
    """Brings an index of words up to date before it is asked.

    Args:
        core: of the store.
        record_id: of the scope.
    """

    def __init__(self, core: StoreCore, record_id: str) -> None:
        self._core, self._record_id = core, record_id
        self._index: WordIndex | None = None
        self._applied: str | None = None
        self._turn = asyncio.Lock()

    async def search(self, text: str, query: IndexQuery) -> Sequence[tuple[str, float]]:
        """Ids and scores, the best first, of all that was committed before this call.

        Args:
            text: whose words are looked for.
            query: what may be found; its vector does not matter.
        """
        wanted = await asyncio.to_thread(tokens, text) if len(text) > 1000 else tokens(text)
        async with self._turn:
            index = await self._current()
            if not wanted or len(index) == 0:
                return ()
            return await asyncio.to_thread(
                index.search, wanted, query.k, lambda each: _allowed(query, each)
            )

    async def drop(self) -> None:
        """Let go of all words."""
        async with self._turn:
            self._forget()

    def _forget(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index, self._applied = None, None

    async def _new(self) -> WordIndex:
        self._index = made = await asyncio.to_thread(make_index)
        return made

    async def _current(self) -> WordIndex:
        index = self._index or await self._new()
        applied = self._applied
        async for changes in changes_since(self._core, self._record_id, applied, _names):
            if changes.anew:
                self._forget()
                index = await self._new()
            texts = _texts(changes.items)
            there = {each.id for each in texts}
            gone = [each for each in changes.changed if each not in there]
            await asyncio.to_thread(index.apply, texts, gone)
            # Until all is taken it is as if nothing were.
            self._applied = changes.upto
        return index


def make_index() -> WordIndex:
    """An empty index of the best kind that there is.

    Raises:
        MissingExtraError: Python's SQLite has no FTS5, and the package ``bm25s`` is not installed.
    """
    # Imports SQLite, which who has no memories does not need.
    from miniagent_store.store.memory.words.full_text import FullTextWords, has_full_text

    if has_full_text():
        return FullTextWords()
    try:
        from miniagent_store.store.memory.words.ranked import RankedWords
    except ImportError as error:
        raise MissingExtraError("searching for words", package="bm25s", extra="words") from error
    return RankedWords()


def _names(ids: Sequence[str]) -> list[str]:
    return [layout.text_name(each) for each in ids]


def _texts(items: Iterable[StateItem]) -> list[IndexedText]:
    return [
        IndexedText(
            layout.id_of(each.name),
            each.value["text"],
            each.value["metadata"],
            each.value["time"],
            None if each.expires_at is None else to_ms(each.expires_at),
        )
        for each in items
    ]


def _allowed(query: IndexQuery, text: IndexedText) -> bool:
    return (
        (text.expires_ms is None or text.expires_ms > query.now_ms)
        and (query.after_ms is None or text.time_ms > query.after_ms)
        and (query.before_ms is None or text.time_ms < query.before_ms)
        and holds(query.filter, text.metadata)
    )
