"""Texts to vectors: cached, in time, and checked before anything is stored."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from typing import Any

from miniagent_store.embedder import Embedder
from miniagent_store.errors import (
    EmbedderUnavailableError,
    EmbeddingError,
    InvalidArgumentError,
    StoreError,
)
from miniagent_store.store.cache import Cache
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory.layout import packed

# Seconds for one call of an embedder, its own retries included.
TIMEOUT = 120.0
NAMESPACE = "embeddings"
KEPT = "1d"
# Vectors that are checked and packed before others have their turn.
PACKED_AT_ONCE = 16


def embedder_of(core: StoreCore, embedder: str | Embedder) -> Embedder:
    """An embedder, by its name or as it is given.

    Raises:
        ConfigurationError: no plugin brings it.
    """
    if not isinstance(embedder, str):
        return embedder
    kind, _, rest = embedder.partition(":")
    made: Embedder = core.plugins.load("embedder", kind)(rest)
    return made


class Embedding:
    """Asks an embedder.

    Args:
        embedder: which.
        cache: where vectors of one that is `cached` are kept.
        timeout: seconds that it may take.
    """

    def __init__(self, embedder: Embedder, cache: Cache, timeout: float = TIMEOUT) -> None:
        self._embedder, self._cache, self._timeout = embedder, cache, timeout

    @property
    def name(self) -> str:
        """Of the embedder."""
        return self._embedder.name

    async def dimensions(self) -> int:
        """Of its vectors; one that does not know embeds a word to find out.

        Raises:
            EmbeddingError: it cannot.
        """
        if self._embedder.dimensions is None:
            [vector] = await self._asked(["dimensions"], query=False)
            return len(vector) // 4
        return self._embedder.dimensions

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[bytes]:
        """A packed vector for each text.

        Raises:
            EmbedderUnavailableError: it took too long, or cannot be reached.
            EmbeddingError: it failed, or gave something else than a vector for each.
        """
        if not getattr(self._embedder, "cached", False):
            return await self._asked(texts, query=query)
        keys = [await self._cache.key(self.name, query, text) for text in texts]
        known: dict[str, bytes] = await self._cache.get_many(keys, namespace=NAMESPACE)
        wanted = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if wanted:
            made = await self._asked(list(wanted.values()), query=query)
            new = dict(zip(wanted, made, strict=True))
            await self._cache.set_many(new, ttl=KEPT, namespace=NAMESPACE)
            known |= new
        return [known[key] for key in keys]

    async def _asked(self, texts: Sequence[str], *, query: bool) -> list[bytes]:
        try:
            async with asyncio.timeout(self._timeout):
                vectors: Any = await self._embedder.embed(texts, query=query)
        except TimeoutError as error:
            problem = f"took more than {self._timeout:g} seconds for {len(texts)} texts"
            raise EmbedderUnavailableError(self.name, problem) from error
        except StoreError:
            raise
        except Exception as error:  # whatever a model raises
            raise EmbeddingError(self.name, f"failed: {type(error).__name__}") from error
        if len(vectors) != len(texts):
            raise EmbeddingError(self.name, f"gave {len(vectors)} vectors for {len(texts)} texts")
        found = []
        for some in _parts(vectors):
            found += [self._packed(each) for each in some]
            await asyncio.sleep(0)
        return found

    def _packed(self, vector: Any) -> bytes:
        try:
            return self.packed(vector)
        except InvalidArgumentError as error:
            raise EmbeddingError(self.name, f"gave a vector that cannot be used: {error}") from error

    def packed(self, vector: Sequence[float]) -> bytes:
        """A vector, checked and packed.

        Raises:
            InvalidArgumentError: its dimension is wrong, or a number in it is none.
        """
        expected = self._embedder.dimensions
        try:
            fits, finite = expected in (None, len(vector)), all(map(math.isfinite, vector))
        except TypeError as error:
            raise InvalidArgumentError("a vector is a sequence of numbers") from error
        if not fits or not len(vector):
            raise InvalidArgumentError(
                f"a vector of {self.name} has {expected} dimensions, not {len(vector)}"
            )
        if not finite:
            raise InvalidArgumentError("a vector holds a number that is none (NaN or infinite)")
        return packed(vector)


def _parts(vectors: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(vectors), PACKED_AT_ONCE):
        yield vectors[start : start + PACKED_AT_ONCE]
