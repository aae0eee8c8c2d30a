"""Words by the package ``bm25s``, where Python's SQLite has no FTS5."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import bm25s  # type: ignore[import-untyped]
import numpy

from miniagent_store.store.memory.words.contract import IndexedText
from miniagent_store.store.memory.words.tokens import tokens

# FTS5 has the factor k1 + 1 of the first papers, which changes no order.
SCALE = 2.2


class RankedWords:
    """An index that is made anew by the first search after a change; BM25 as FTS5 computes it."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[IndexedText, list[str]]] = {}
        self._made: tuple[list[IndexedText], bm25s.BM25] | None = None

    def apply(self, added: Sequence[IndexedText], removed: Sequence[str]) -> None:
        """As `WordIndex.apply`."""
        for each in removed:
            self._texts.pop(each, None)
        for one in added:
            self._texts[one.id] = (one, tokens(one.text))
        self._made = None

    def search(
        self, words: Sequence[str], k: int, allowed: Callable[[IndexedText], bool]
    ) -> list[tuple[str, float]]:
        """As `WordIndex.search`."""
        if self._made is None:
            self._made = self._index()
        texts, index = self._made
        known = [word for word in dict.fromkeys(words) if word in index.vocab_dict] if texts else []
        if not known:
            return []
        scores = index.get_scores(known)
        asked = set(known)
        found = [
            # What stands in more than half of the texts says nothing, but is found.
            (max(SCALE * float(scores[at]), 1e-6), texts[at].id)
            for at in numpy.arange(len(texts))
            if not asked.isdisjoint(self._texts[texts[at].id][1]) and allowed(texts[at])
        ]
        found.sort(key=lambda each: (-round(each[0], 9), each[1]))
        return [(id, score) for score, id in found[:k]]

    def _index(self) -> tuple[list[IndexedText], bm25s.BM25]:
        index = bm25s.BM25(k1=1.2, b=0.75, method="robertson")
        texts = [text for text, words in self._texts.values() if words]
        if texts:
            index.index([self._texts[each.id][1] for each in texts], show_progress=False)
        return texts, index

    def __len__(self) -> int:
        return len(self._texts)

    def close(self) -> None:
        """As `WordIndex.close`."""
        self._texts, self._made = {}, None
