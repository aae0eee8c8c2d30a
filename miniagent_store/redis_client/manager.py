"""The seed's manager of sessions in Redis, on a session store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, cast

from miniagent_store.errors import (
    SessionExistsError,
    SessionNotFoundError,
    StoreClosedError,
    WrongLoopError,
)
from miniagent_store.redis_client import sessions, threads
from miniagent_store.redis_client.channels import Channels, OnReconnect, decode, encode
from miniagent_store.redis_client.client import make_client
from miniagent_store.redis_client.config import RedisConfig
from miniagent_store.redis_client.failures import told_as_ours
from miniagent_store.redis_client.locks import Locks
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import EVENTS

if TYPE_CHECKING:
    from miniagent_store.agent.session_thread import SessionThread
    from miniagent_store.store.core import StoreCore
    from miniagent_store.store.store import Store


class RedisSessionManager:
    """Low-level operations by session id; every signature as in the seed.

    What a session holds may be read by `store` too, and by `SessionAgent`: there is one format. Failures
    of the server are `StoreError`s, never a silent False. Belongs to one event loop.

    Args:
        config: which Redis; `RedisConfig()` by default.

    Attributes:
        config: as given.
        store: the session store underneath; another one when connected anew after `disconnect`.

    Raises:
        ConfigurationError: a setting cannot be used; says which.
        MissingExtraError: redis-py is not installed.
    """

    def __init__(self, config: RedisConfig | None = None) -> None:
        self.config: RedisConfig = config or RedisConfig()
        self.store: SessionStore = self._take_store()

    def _take_store(self) -> SessionStore:
        from miniagent_store.factory import open_store

        store = open_store(self.config.to_url())
        self._place = store.url.partition("?")[0]
        self._redis: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard: Channels | None = None
        # `open_store` makes no other.
        self._locks = Locks(
            cast("Store", store), lambda: self._client, f"{self.config.start}{self.config.lock_prefix}"
        )
        self._disconnected = False
        return store

    # Life cycle

    async def connect(self) -> None:
        """Connect now; otherwise the first call does. After `disconnect`: connect anew.

        Raises:
            StoreError: the server cannot be reached; says why.
        """
        if self._disconnected:
            self.store = self._take_store()
        await self.store.open()

    async def disconnect(self) -> None:
        """Let go of everything; calls afterwards raise `StoreClosedError`. May be called twice."""
        self._disconnected = True
        heard, self._heard = self._heard, None
        client, self._redis = self._redis, None
        async with AsyncExitStack() as last_things:
            last_things.push_async_callback(self.store.close)
            if client is not None:
                last_things.push_async_callback(client.aclose)
            if heard is not None:
                last_things.push_async_callback(heard.close)

    async def health_check(self) -> bool:
        """Whether the server answers; False once disconnected."""
        if self._disconnected:
            return False
        return (await self.store.health()).ok

    @property
    def _client(self) -> Any:
        """A live client of redis-py, with a pool of its own, that tries nothing again by itself."""
        if self._disconnected:
            raise StoreClosedError("this manager")
        loop = asyncio.get_running_loop()
        if self._redis is None:
            self._redis, self._loop = make_client(self.config), loop
        if self._loop is not loop:
            raise WrongLoopError("this manager")
        return self._redis

    # What subclasses may override

    def serialize(self, data: Any) -> bytes:
        """Bytes of a value. A subclass's own is used for all that this manager stores.

        What was written by a serializer of one's own is for managers that have it: agents, and others that
        read the store, find bytes.
        """
        return json.dumps(data).encode()

    def deserialize(self, data: bytes) -> Any:
        """What `serialize` wrote."""
        return json.loads(data)

    def _encode(self, value: Any) -> Any:
        # The store's own codec carries more types than JSON; only who overrides wants bytes.
        is_own = type(self).serialize is RedisSessionManager.serialize
        return value if is_own else self.serialize(value)

    def _decode(self, value: Any) -> Any:
        is_own = type(self).deserialize is RedisSessionManager.deserialize
        return value if is_own or not isinstance(value, bytes) else self.deserialize(value)

    # Sessions

    async def create_session(
        self, session_id: str, data: Mapping[str, Any], ttl: float | None = None
    ) -> bool:
        """Make a session; False if it is there, which stays as it is.

        Args:
            session_id: its id.
            data: any dict; "user_id" and "agent_name" in it are what listings filter by.
            ttl: seconds, above zero; the config's by default.
        """
        try:
            await sessions.create(self.store, session_id, data, self._encode(dict(data)), ttl)
        except SessionExistsError:
            return False
        return True

    async def get_session(self, session_id: str) -> dict[str, Any] | None:
        """A session's data; None if there is no session. Renews nothing."""
        try:
            session = await self.store.get(session_id)
        except SessionNotFoundError:
            return None
        if sessions.DATA not in session.metadata:
            return sessions.described(session)
        return dict(self._decode(session.metadata[sessions.DATA]))

    async def update_session(self, session_id: str, data: Mapping[str, Any]) -> bool:
        """Replace a session's data as a whole; False if there is no session."""
        try:
            await sessions.replace_data(self.store, session_id, self._encode(dict(data)))
        except SessionNotFoundError:
            return False
        return True

    async def delete_session(self, session_id: str) -> bool:
        """Remove a session and its thread; whether it was there."""
        return await self.store.delete(session_id)

    async def extend_session_ttl(self, session_id: str, additional_seconds: float) -> bool:
        """Let a session live longer by so many seconds; False if there is none, or it never ends.

        What it has left then is its new TTL, which later commits renew.
        """
        try:
            if (await self.store.get(session_id)).expires_at is None:
                return False
            with told_as_ours(self._place):
                left_ms = await self._client.pttl(self._key(session_id))
            await self.store.touch(session_id, max(left_ms, 0) / 1000 + additional_seconds)
        except SessionNotFoundError:
            return False
        return True

    async def list_sessions(self, pattern: str = "*") -> list[str]:
        """Ids that match a pattern as Redis takes them, newest activity first. Renews nothing."""
        return [session.id for session in await sessions.matching(self.store, pattern)]

    def _key(self, session_id: str) -> str:
        return f"{self.config.start}{self.config.session_prefix}{session_id}"

    # Threads

    async def save_thread(self, session_id: str, thread_data: Any) -> bool:
        """Replace a session's thread as a whole; a session that is missing is made.

        For what several processes write, `append_to_thread` and `SessionThread` lose nothing of others.
        """
        await threads.save_thread(self.store, session_id, thread_data, self._encode)
        return True

    async def load_thread(self, session_id: str) -> Any:
        """The thread as it was saved; None if there is none. Renews nothing.

        Returns:
            What `save_thread` was given, with what was appended since; else a dict of ``messages`` and
            ``events``.
        """
        return await threads.load_thread(self.store, session_id, self._decode)

    async def append_to_thread(self, session_id: str, message: Mapping[str, Any]) -> bool:
        """Append a message; never loses another's. A session that is missing is made."""
        await self.store.append(session_id, threads.wrap(self._encode(message)), create=True)
        return True

    async def save_thread_enhanced(self, thread: Any) -> bool:
        """Save a thread object: a `SessionThread`, or MiniAgent's own.

        Of the latter what is not stored yet is appended; nothing that others have stored is taken away.

        Returns:
            Whether it is stored; False: a `SessionThread` whose session is gone.

        Raises:
            VersionConflictError: MiniAgent's own, and other messages are stored under its id.
        """
        from miniagent_store.agent.session_thread import SessionThread
        from miniagent_store.redis_client.foreign import save_foreign

        if isinstance(thread, SessionThread):
            return await thread.save()
        await save_foreign(self.store, thread)
        return True

    async def load_thread_enhanced(self, thread_id: str) -> SessionThread | None:
        """A thread object; None if there is none."""
        from miniagent_store.agent.session_thread import SessionThread

        return await SessionThread.load(thread_id, self)

    async def get_thread_events(self, thread_id: str, limit: int = 100) -> list[dict[str, Any]]:
        """The last events of a thread, oldest first, each with a "timestamp"."""
        try:
            entries = await self.store.entries(thread_id, log=EVENTS, last=limit)
        except SessionNotFoundError:
            return []
        return [{"timestamp": entry.time.isoformat(), **entry.value} for entry in entries]

    async def get_thread_checkpoint(self, thread_id: str) -> dict[str, Any] | None:
        """Where a thread stands; None if there is none."""
        try:
            session = await self.store.get(thread_id)
            event_count = await self.store.count(thread_id, log=EVENTS)
        except SessionNotFoundError:
            return None
        return {
            "thread_id": session.id,
            "message_count": session.message_count,
            "event_count": event_count,
            "last_activity": session.last_activity.isoformat(),
            "version": session.version,
            "position": str(session.position),
        }

    async def list_threads(self, pattern: str = "*") -> list[dict[str, Any]]:
        """Threads whose ids match a pattern as Redis takes them: ``thread_id``, ``ttl`` and ``key``.

        The ttl is in seconds as Redis tells it, -1 for never.
        """
        ids = [
            session.id
            for session in await sessions.matching(self.store, pattern)
            if session.message_count or session.position.seq(EVENTS)
        ]
        with told_as_ours(self._place):
            async with self._client.pipeline(transaction=False) as pipe:
                for thread_id in ids:
                    pipe.ttl(self._key(thread_id))
                ttls = await pipe.execute()
        return [
            {
                "thread_id": thread_id,
                "ttl": ttl,
                "key": f"{self.config.start}{self.config.thread_prefix}{{{self._key(thread_id)}}}",
            }
            for thread_id, ttl in zip(ids, ttls, strict=True)
        ]

    # Cache

    async def cache_set(self, key: str, value: Any, ttl: float = 300) -> bool:
        """Keep a value for so many seconds; it comes back as it went in."""
        # A cache is no reason to fail, but where there never was a Redis that is said.
        await self.store.open()
        await self.store.cache.set(key, self._encode(value), ttl=ttl, jitter=0)
        return True

    async def cache_get(self, key: str) -> Any:
        """A cached value; None if there is none."""
        await self.store.open()
        return self._decode(await self.store.cache.get(key))

    async def cache_delete(self, key: str) -> bool:
        """Remove a cached value; whether it was there."""
        return await self.store.cache.delete(key)

    # Locks

    async def acquire_lock(self, resource: str, timeout: float | None = None) -> bool:
        """Take a lock for `timeout` seconds (10), if nobody holds it; only this manager can free it."""
        return await self._locks.acquire(resource, timeout)

    async def release_lock(self, resource: str) -> bool:
        """Free a lock of this manager's; False if it holds none, or it has ended."""
        return await self._locks.release(resource)

    async def is_locked(self, resource: str) -> bool:
        """Whether someone holds a lock."""
        with told_as_ours(self._place):
            return await self._locks.is_locked(resource)

    # Channels

    @property
    def _channels(self) -> Channels:
        if self._heard is None:
            self._heard = Channels(
                self._client,
                self._place,
                idle=self.config.health_check_interval or 30,
                patience=self.config.socket_timeout or 5,
                decode=self._published if self._encrypts else decode,
                start=self.config.channel_start,
            )
        return self._heard

    async def subscribe(
        self, channels: str | Iterable[str], *, on_reconnect: OnReconnect | None = None
    ) -> None:
        """Hear one or more channels from now on.

        Args:
            channels: their names.
            on_reconnect: called, without arguments, when channels are heard again after a cut: what was
                published meanwhile is lost, which is logged too.
        """
        await self._channels.subscribe(channels, on_reconnect)

    async def publish(self, channel: str, message: Any) -> int:
        """Send whatever JSON can say; how many heard it. Encrypted where the store encrypts."""
        data = encode(message)
        if self._encrypts:
            await self._core.fetch_cache_key()
            data = self._core.coding.encode_published(channel, message)
        with told_as_ours(self._place):
            return int(await self._client.publish(f"{self.config.channel_start}{channel}", data))

    async def _published(self, channel: str, data: bytes) -> Any:
        await self._core.fetch_cache_key()
        return self._core.coding.decode_published(channel, data)

    @property
    def _core(self) -> StoreCore:
        # `open_store` makes no other.
        return cast("Store", self.store)._core

    @property
    def _encrypts(self) -> bool:
        return self._core.coding.codec.chain.encrypted

    async def get_message(self, timeout: float | None = 1.0) -> Any:
        """What was published next in the subscribed channels; None if nothing was within `timeout` s."""
        return (await self._channels.get_message(timeout))[1]

    def get_messages(self) -> AsyncIterator[Any]:
        """All that is published in the subscribed channels, as it comes, over reconnects too."""
        return self._channels.get_messages()
