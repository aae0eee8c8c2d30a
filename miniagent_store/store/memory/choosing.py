"""Which index a scope gets."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, cast

from miniagent_store.errors import ConfigurationError, MissingExtraError
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
        if self._wanted != AUTO:
            await self._factory.check(place)
            return self._made(self._factory, place)
        for provider in reversed(self._plugins.providers(KIND)):
            if provider.package is not None:
                # Needs a package that may not be installed; whoever wants it asks for it.
                continue
            factory = self._load(provider.name)
            if (self._may_be_plain or not factory.capabilities.plain) and await factory.suits(place):
                return self._made(factory, place)
        try:
            return self._made(self._load(FOR_LARGE), place, least=LARGE)
        except MissingExtraError:
            return self._factory.make(place)

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
