"""Which index a scope gets."""

from __future__ import annotations

from miniagent_store.errors import ConfigurationError
from miniagent_store.store.core import StoreCore
from miniagent_store.vector_index import IndexFactory, IndexPlace

KIND = "vector index"
AUTO = "auto"
# What needs no server: begins with "exact", and goes on with "usearch" where that is worth its while.
IN_PROCESS = "exact"


class Choosing:
    """The choice of an index.

    Args:
        core: of the store; its plugins bring indexes.
        wanted: its name, or "auto".
        plain_vectors: whether vectors may leave the process as they are, of a store that encrypts.
    """

    def __init__(self, core: StoreCore, wanted: str, *, plain_vectors: bool) -> None:
        self._core, self._wanted = core, wanted
        self._may_be_plain = plain_vectors or not core.coding.codec.chain.encrypted
        # A name that is wrong is told at once.
        self._factory: IndexFactory = core.plugins.load(KIND, IN_PROCESS if wanted == AUTO else wanted)
        if self._factory.capabilities.plain and not self._may_be_plain:
            raise ConfigurationError(
                f"index {wanted!r} keeps vectors on the server as they are, which gives their texts away, "
                f"and this store encrypts; use index='exact', or allow it with plain_vectors=True"
            )

    async def __call__(self, place: IndexPlace) -> IndexFactory:
        """What is to be made at a place.

        Raises:
            ConfigurationError: it was asked for by name, and cannot stand there.
        """
        if self._wanted != AUTO:
            await self._factory.check(place)
            return self._factory
        for provider in reversed(self._core.plugins.providers(KIND)):
            if provider.package is not None and provider.extra is not None:
                # Needs a package that may not be installed; whoever wants it asks for it.
                continue
            factory: IndexFactory = self._core.plugins.load(KIND, provider.name)
            if factory.capabilities.plain and not self._may_be_plain:
                continue
            if await factory.suits(place):
                return factory
        return self._factory
