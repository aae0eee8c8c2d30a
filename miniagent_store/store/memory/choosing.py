"""Which index a scope gets."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, cast

from miniagent_store.errors import AccessDeniedError, ConfigurationError, MissingExtraError
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory.meanwhile import Meanwhile, Quick
from miniagent_store.vector_index import IndexFactory, IndexPlace, VectorIndex

KIND = "vector index"
AUTO = "auto"
# What needs no server, and is filled at once.
QUICK = "exact"
# What is worth its while in a process from so many memories on: there `QUICK` takes about 10 ms for a
# search in 384 dimensions (benchmarks/memory_search.py).
LARGE, FOR_LARGE = 50_000, "usearch"

Later = Callable[[Coroutine[Any, Any, None]], None]


class Choosing:
    """The choice of an index.

    Args:
        core: of the store; its plugins bring indexes.
        later: does work beside its callers.
        wanted: its name, or "auto".
        plain_vectors: whether vectors may leave the process as they are, of a store that encrypts.
    """

    def __init__(self, core: StoreCore, later: Later, wanted: str, *, plain_vectors: bool) -> None:
        self._plugins, self._later, self._wanted = core.plugins, later, wanted
        self._may_be_plain = plain_vectors or not core.coding.codec.chain.encrypted
        # A name that is wrong is told at once.
        self._factory = self._load(QUICK if wanted == AUTO else wanted)
        if self._factory.capabilities.plain and not self._may_be_plain:
            raise ConfigurationError(
                f"index {wanted!r} keeps vectors on the server as they are, which gives their texts away, "
                f"and this store encrypts; use index='exact', or allow it with plain_vectors=True"
            )

    def _load(self, name: str) -> IndexFactory:
        factory: IndexFactory = self._plugins.load(KIND, name)
        return factory

    async def make(self, place: IndexPlace) -> VectorIndex:
        """An index at a place.

        Raises:
            ConfigurationError: it was asked for by name, and cannot stand there.
        """
        _, factory, least = await self._choice(place)
        return self._made(factory, place, least)

    async def name(self, place: IndexPlace, memories: int) -> str:
        """Of the index that is asked, once it is filled, where there are so many memories.

        Raises:
            As `make`.
        """
        name, _, least = await self._choice(place)
        return name if memories >= least else QUICK

    async def _choice(self, place: IndexPlace) -> tuple[str, IndexFactory, int]:
        """An index, by name, and how many memories are worth to have it filled."""
        if self._wanted != AUTO:
            await self._factory.check(place)
            return self._wanted, self._factory, 0
        for provider in reversed(self._plugins.providers(KIND)):
            if provider.package is not None and provider.package not in sys.modules:
                # That of a server is in use where its backend is; whoever wants another one asks for it.
                continue
            factory = self._load(provider.name)
            if (self._may_be_plain or not factory.capabilities.plain) and await factory.suits(place):
                return provider.name, factory, 0
        try:
            return FOR_LARGE, self._load(FOR_LARGE), LARGE
        except MissingExtraError:
            return QUICK, self._factory, 0

    async def drop_old(self, place: IndexPlace, in_use: IndexPlace) -> None:
        """Remove indexes of a model that is not in use any more, where these outlive their processes.

        Those of the model that is in use may have taken their place already, and stay.
        """
        for provider in self._plugins.providers(KIND):
            try:
                # Some import much.
                factory = await asyncio.to_thread(self._load, provider.name)
                if not factory.capabilities.shared:
                    continue
                await factory.check(place)
            except (MissingExtraError, ConfigurationError, AccessDeniedError):
                # None can stand there.
                continue
            if await factory.make(in_use).applied() is None:
                await factory.make(place).drop()

    def _made(self, factory: IndexFactory, place: IndexPlace, least: int = 0) -> VectorIndex:
        if not factory.capabilities.gradual:
            return factory.make(place)
        quick = self._load(QUICK)
        return Meanwhile(
            factory.make(place),
            lambda: cast("Quick", quick.make(place)),
            least=least,
            later=self._later,
            scope=place.scope,
        )
