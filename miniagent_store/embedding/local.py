"""Models that run in this process: loaded once, and asked in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

Encode = Callable[[list[str], bool], Any]


class LocalModel:
    """An embedder over a function that blocks.

    Args:
        name: of the embedder, with its model's.
        load: loads the model, and gives what embeds texts (or queries) with it, and its dimensions.
    """

    name: str
    dimensions: int | None

    def __init__(self, name: str, load: Callable[[], tuple[Encode, int]]) -> None:
        self.name, self.dimensions, self._load = name, None, load
        self._encode: Encode | None = None
        # Models are not made to be asked by two threads at once.
        self._turn = threading.Lock()

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Sequence[Sequence[float]]:
        """A vector for each text. The first call loads the model."""
        return await asyncio.to_thread(self._embed, list(texts), query)

    def _embed(self, texts: list[str], query: bool) -> Sequence[Sequence[float]]:
        with self._turn:
            if self._encode is None:
                self._encode, self.dimensions = self._load()
            vectors: Sequence[Sequence[float]] = self._encode(texts, query).tolist()
        return vectors
