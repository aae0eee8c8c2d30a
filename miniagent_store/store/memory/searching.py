"""Searches by meaning, by words, and by both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Literal, get_args

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.store.memory.embedding import Embedding
from miniagent_store.store.memory.fusion import fused
from miniagent_store.store.memory.indexed import Indexed
from miniagent_store.store.memory.words.words import Words
from miniagent_store.values import Memory
from miniagent_store.vector_index import IndexQuery

Mode = Literal["hybrid", "vector", "words"]
MAX_K = 1000
# Of each ranking so many are fused, or four times what is asked for: what is further down changes nothing.
FUSED = 50

Load = Callable[[Iterable[tuple[str, float]]], Awaitable[list[Memory]]]


class Searching:
    """Asks the indexes of a scope.

    Args:
        embedding: makes vectors of queries.
        indexed: vectors.
        words: words.
        load: reads memories of ids and scores, those that may be shown, in order.
    """

    def __init__(self, embedding: Embedding, indexed: Indexed, words: Words, load: Load) -> None:
        self._embedding, self._indexed, self._words, self._load = embedding, indexed, words, load

    async def search(
        self, query: str | Sequence[float], wanted: IndexQuery, mode: Mode, min_score: float | None
    ) -> list[Memory]:
        """What fits best, at most `wanted.k`.

        Args:
            query: a text or a vector.
            wanted: what may be found.
            mode: by what; a vector has no words.
            min_score: as scores of `mode` are.

        Raises:
            InvalidArgumentError: `mode` is none, `k` out of range, or words were asked for by a vector.
            EmbeddingError: no vector could be made of the query.
        """
        if mode not in get_args(Mode):
            raise InvalidArgumentError(f"mode is one of {', '.join(get_args(Mode))}, not {mode!r}")
        if not isinstance(wanted.k, int) or not 1 <= wanted.k <= MAX_K:
            raise InvalidArgumentError(f"k must be a whole number from 1 to {MAX_K}, not {wanted.k!r}")
        if isinstance(query, str):
            if mode != "words":
                [vector] = await self._embedding.embed([query], query=True)
                wanted = replace(wanted, vector=vector)
        elif mode == "words":
            raise InvalidArgumentError("words are looked for by a text, not by a vector")
        else:
            wanted, mode = replace(wanted, vector=self._embedding.packed(query)), "vector"
        asked = wanted.k
        while True:
            ranking = await self._ranking(query, replace(wanted, k=asked), mode)
            if min_score is not None:
                ranking = [(id, score) for id, score in ranking if score >= min_score]
            found = await self._load(ranking[:asked])
            # Some may not be shown any more, and are still known to an index.
            if len(found) >= wanted.k or len(ranking) < asked or asked >= MAX_K:
                return found[: wanted.k]
            asked = min(4 * asked, MAX_K)

    async def _ranking(
        self, query: str | Sequence[float], wanted: IndexQuery, mode: Mode
    ) -> Sequence[tuple[str, float]]:
        if mode == "vector" or not isinstance(query, str):
            return await self._indexed.search(wanted)
        if mode == "words":
            return await self._words.search(query, wanted)
        deep = replace(wanted, k=max(FUSED, 4 * wanted.k))
        return fused(await asyncio.gather(self._indexed.search(deep), self._words.search(query, deep)))
