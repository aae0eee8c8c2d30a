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
        manager: who had the store, if `given` was neither a URL nor a store.

    Raises:
        InvalidArgumentError: both are given.
    """

    def __init__(
        self, given: str | StoreURL | SessionStore | HasStore | None, redis_config: HasURL | None
    ) -> None:
        if given is not None and redis_config is not None:
            raise InvalidArgumentError("pass store= or redis_config=, not both")
        self._given = redis_config.to_url() if redis_config is not None else given
        self.owned = self._given is None or isinstance(self._given, str | StoreURL)
        self.manager: Any = None if self.owned or isinstance(given, SessionStore) else given

    def store(self) -> SessionStore:
        """The store; a new one each time if it is made here.

        Raises:
            ConfigurationError, MissingExtraError: as `open_store`.
        """
        if self._given is None or isinstance(self._given, str | StoreURL):
            return open_store(self._given)
        return store_of(self._given)
