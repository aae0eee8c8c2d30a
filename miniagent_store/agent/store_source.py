"""Where an agent's store comes from, and whose it is to close."""

from __future__ import annotations

from typing import Any, Protocol

from miniagent_store.agent.session_thread import HasStore, store_of
from miniagent_store.errors import InvalidArgumentError
from miniagent_store.factory import open_store
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL


class HasURL(Protocol):
    """A `RedisConfig`, or whatever else knows the URL of a store."""

    def to_url(self) -> str: ...


class StoreSource:
    """A URL, of which a store is made here, or a store that somebody else has opened.

    Args:
        given: a URL, a `SessionStore`, who has one as `store`, or None.
        redis_config: whose ``to_url()`` is the URL.

    Attributes:
        owned: whether the store is made here, and has to be closed.
        manager: who has the store, if `given` was neither a URL nor a store; or what was made of a
            `RedisConfig`.

    Raises:
        InvalidArgumentError: both are given.
    """

    def __init__(
        self, given: str | StoreURL | SessionStore | HasStore | None, redis_config: HasURL | None
    ) -> None:
        if given is not None and redis_config is not None:
            raise InvalidArgumentError("pass store= or redis_config=, not both")
        self._redis_config = redis_config
        self._given = given
        self.owned: bool = redis_config is not None or given is None or isinstance(given, str | StoreURL)
        self.manager: Any = None if self.owned or isinstance(given, SessionStore) else given

    def store(self) -> SessionStore:
        """The store; a new one each time if it is made here.

        Raises:
            ConfigurationError, MissingExtraError: as `open_store`.
        """
        if self._redis_config is not None:
            return self._store_of_config(self._redis_config)
        if self._given is None or isinstance(self._given, str | StoreURL):
            return open_store(self._given)
        return store_of(self._given)

    def _store_of_config(self, config: HasURL) -> SessionStore:
        # Imported here: who does not use the seed's classes need not load them.
        from miniagent_store.redis_client import RedisConfig, RedisSessionManager

        if not isinstance(config, RedisConfig):
            return open_store(config.to_url())
        manager = RedisSessionManager(config)
        self.manager = manager
        return manager.store

    async def close(self, store: SessionStore) -> None:
        """Close a store that was made here, and the manager around it."""
        if self._redis_config is not None and self.manager is not None:
            await self.manager.disconnect()
        await store.close()
