"""The seed's manager of sessions in Redis, on a session store."""

from __future__ import annotations

import fnmatch
import json
import os
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from miniagent_store.backend import LeaseGrant, LeaseRequest
from miniagent_store.errors import (
    InvalidArgumentError,
    MissingExtraError,
    SessionExistsError,
    SessionNotFoundError,
    StoreClosedError,
)
from miniagent_store.redis_client.channels import Channels
from miniagent_store.redis_client.config import RedisConfig
from miniagent_store.redis_client.threads import load_thread, save_thread, wrap
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import EVENTS, MESSAGES, Session

if TYPE_CHECKING:
    from miniagent_store.agent.session_thread import SessionThread

# Where the data of `create_session` lies in a session's metadata.
DATA = "redis_client.data"
LOCK_SECONDS = 10


class RedisSessionManager:
    """Low-level operations by session id; every signature as in the seed.

    What a session holds may be read by `store` too, and by `SessionAgent`: there is one format. Failures
    of the server are `StoreError`s, never a silent False.

    Args:
        config: which Redis; `RedisConfig()` by default.

    Attributes:
        config: as given.
        store: the session store underneath.
    """

    def __init__(self, config: RedisConfig | None = None) -> None:
        from miniagent_store.factory import open_store

        self.config = config or RedisConfig()
        self.store: SessionStore = open_store(self.config.to_url())
        self._owner = os.urandom(12).hex()
        self._locks: dict[str, LeaseGrant] = {}
        self._redis: Any = None
        self._heard: Channels | None = None
        self._disconnected = False

    # Life cycle

    async def connect(self) -> None:
        """Connect now; otherwise the first call does."""
        await self.store.open()

    async def disconnect(self) -> None:
        """Let go of everything; may be called twice."""
        self._disconnected = True
        if self._heard is not None:
            await self._heard.close()
        client, self._redis = self._redis, None
        if client is not None:
            await client.aclose()
        await self.store.close()

    @property
    def is_disconnected(self) -> bool:
        """Whether `disconnect` was called."""
        return self._disconnected

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
        if self._redis is None:
            self._redis = _make_client(self.config)
        return self._redis

    # What subclasses may override

    def serialize(self, data: Any) -> bytes:
        """Bytes of a value. A subclass's own is used for all that this manager stores."""
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
        self, session_id: str, data: Mapping[str, Any], ttl: int | None = None
    ) -> bool:
        """Make a session; False if it is there.

        Args:
            session_id: its id.
            data: any dict; "user_id" and "agent_name" in it are what listings filter by.
            ttl: seconds; the config's by default.
        """
        try:
            await self.store.create(
                session_id,
                user_id=_text(data.get("user_id")),
                agent=_text(data.get("agent_name")),
                metadata={DATA: self._encode(dict(data))},
                ttl=ttl,
            )
        except SessionExistsError:
            return False
        return True

    async def get_session(self, session_id: str) -> dict[str, Any] | None:
        """A session's data; None if there is no session. Renews nothing."""
        try:
            return self._data(await self.store.get(session_id))
        except SessionNotFoundError:
            return None

    async def update_session(self, session_id: str, data: Mapping[str, Any]) -> bool:
        """Replace a session's data as a whole; False if there is no session."""
        try:
            await self.store.update(session_id, metadata={DATA: self._encode(dict(data))})
        except SessionNotFoundError:
            return False
        return True

    async def delete_session(self, session_id: str) -> bool:
        """Remove a session and its thread; whether it was there."""
        return await self.store.delete(session_id)

    async def extend_session_ttl(self, session_id: str, additional_seconds: int) -> bool:
        """Let a session live longer by so many seconds; False if there is none, or it never ends."""
        try:
            session = await self.store.get(session_id)
            if session.expires_at is None:
                return False
            left = await self._client.pttl(f"{self.config.session_prefix}{session_id}") / 1000
            await self.store.touch(session_id, max(left, 0) + additional_seconds)
        except SessionNotFoundError:
            return False
        return True

    async def list_sessions(self, pattern: str = "*") -> list[str]:
        """Ids that match a pattern of the shell, newest activity first. Renews nothing."""
        return [session.id for session in await self._all() if fnmatch.fnmatchcase(session.id, pattern)]

    async def _all(self) -> list[Session]:
        found: list[Session] = []
        cursor = None
        while True:
            page = await self.store.list(cursor=cursor, limit=500)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                return found

    def _data(self, session: Session) -> dict[str, Any]:
        if DATA in session.metadata:
            return dict(self._decode(session.metadata[DATA]))
        return {
            "session_id": session.id,
            "user_id": session.user_id or "anonymous",
            "agent_name": session.agent,
            "created_at": session.created_at.isoformat(),
            "last_activity": session.last_activity.isoformat(),
            "message_count": session.message_count,
            "metadata": dict(session.metadata),
        }

    # Threads

    async def save_thread(self, session_id: str, thread_data: Any) -> bool:
        """Replace a session's thread; a session that is missing is made."""
        await save_thread(self.store, session_id, thread_data, self._encode)
        return True

    async def load_thread(self, session_id: str) -> Any:
        """The thread as it was saved; None if there is none."""
        return await load_thread(self.store, session_id, self._decode)

    async def append_to_thread(self, session_id: str, message: Mapping[str, Any]) -> bool:
        """Append a message; never loses another's. A session that is missing is made."""
        await self.store.append(session_id, wrap(self._encode(message)), create=True)
        return True

    async def save_thread_enhanced(self, thread: Any) -> bool:
        """Save a thread object: a `SessionThread`, or MiniAgent's own."""
        from miniagent_store.agent.messages import as_event, as_message
        from miniagent_store.agent.session_thread import SessionThread

        if isinstance(thread, SessionThread):
            return await thread.save()
        async with self.store.batch(thread.id, create=True) as batch:
            batch.replace([as_message(message) for message in thread.messages], log=MESSAGES)
            batch.replace([as_event(event)[0] for event in thread.events], log=EVENTS)
            for name, value in dict(thread.metadata or {}).items():
                batch.state.set(f"thread.metadata/{name}", value)
        return True

    async def load_thread_enhanced(self, thread_id: str) -> SessionThread | None:
        """A thread object; None if there is none."""
        from miniagent_store.agent.session_thread import SessionThread

        return await SessionThread.load(thread_id, self)

    async def get_thread_events(self, thread_id: str, limit: int = 100) -> list[dict[str, Any]]:
        """The last events of a thread, oldest first."""
        try:
            entries = await self.store.entries(thread_id, log=EVENTS, last=limit)
        except SessionNotFoundError:
            return []
        return [{**entry.value, "timestamp": entry.time.isoformat()} for entry in entries]

    async def get_thread_checkpoint(self, thread_id: str) -> dict[str, Any] | None:
        """Where a thread stands; None if there is none."""
        try:
            session = await self.store.get(thread_id)
        except SessionNotFoundError:
            return None
        return {
            "thread_id": session.id,
            "message_count": session.message_count,
            "event_count": await self.store.count(thread_id, log=EVENTS),
            "last_activity": session.last_activity.isoformat(),
            "version": session.version,
            "position": str(session.position),
        }

    async def list_threads(self, pattern: str = "*") -> list[dict[str, Any]]:
        """Threads whose ids match a pattern of the shell, each with its TTL in seconds and its key."""
        sessions = [each for each in await self._all() if fnmatch.fnmatchcase(each.id, pattern)]
        threads = []
        for session in sessions:
            ttl = await self._client.ttl(f"{self.config.session_prefix}{session.id}")
            key = f"{self.config.thread_prefix}{{{self.config.session_prefix}{session.id}}}"
            threads.append({"thread_id": session.id, "ttl": ttl, "key": key})
        return threads

    # Cache

    async def cache_set(self, key: str, value: Any, ttl: int = 300) -> bool:
        """Keep a value for so many seconds; it comes back as it went in."""
        await self.store.cache.set(key, self._encode(value), ttl=ttl)
        return True

    async def cache_get(self, key: str) -> Any:
        """A cached value; None if there is none."""
        return self._decode(await self.store.cache.get(key))

    async def cache_delete(self, key: str) -> bool:
        """Remove a cached value; whether it was there."""
        return await self.store.cache.delete(key)

    # Locks

    def _lease(self, resource: str, seconds: float) -> LeaseRequest:
        holder = f"{socket.gethostname()}:{os.getpid()}"
        return LeaseRequest("lock", resource, self._owner, int(seconds * 1000), holder)

    async def acquire_lock(self, resource: str, timeout: float | None = None) -> bool:
        """Take a lock for `timeout` seconds (10), if nobody holds it; only this manager can free it."""
        if timeout is not None and timeout <= 0:
            raise InvalidArgumentError(f"timeout must be above zero seconds, not {timeout!r}")
        if await self.is_locked(resource):
            return False
        await self.store.open()
        request = self._lease(resource, timeout or LOCK_SECONDS)
        grant = await self.store._core.backend.acquire(request)  # type: ignore[attr-defined]
        if not isinstance(grant, LeaseGrant):
            return False
        self._locks[resource] = grant
        return True

    async def release_lock(self, resource: str) -> bool:
        """Free a lock of this manager's; False if it holds none, or it has ended."""
        grant = self._locks.pop(resource, None)
        if grant is None or not await self.is_locked(resource):
            return False
        backend = self.store._core.backend  # type: ignore[attr-defined]
        return bool(await backend.release(self._lease(resource, LOCK_SECONDS), grant.fence))

    async def is_locked(self, resource: str) -> bool:
        """Whether someone holds a lock."""
        name = f"{self.config.lock_prefix}{{{resource}}}"
        owner, until_ms = await self._client.hmget(name, "owner", "until")
        seconds, micros = await self._client.time()
        return bool(owner) and int(until_ms) > seconds * 1000 + micros // 1000

    # Channels

    @property
    def _channels(self) -> Channels:
        if self._heard is None:
            self._heard = Channels(self._client)
        return self._heard

    async def subscribe(self, channels: str | Iterable[str]) -> None:
        """Hear one or more channels from now on."""
        await self._channels.subscribe(channels)

    async def publish(self, channel: str, message: Any) -> int:
        """Send a text, or whatever JSON can say; how many heard it."""
        return await self._channels.publish(channel, message)

    async def get_message(self, timeout: float = 1.0) -> dict[str, Any] | None:
        """The next message of the subscribed channels; None if none came within `timeout` seconds."""
        return await self._channels.get_message(timeout)

    def get_messages(self) -> AsyncIterator[dict[str, Any]]:
        """All messages of the subscribed channels, as they come."""
        return self._channels.get_messages()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _make_client(config: RedisConfig) -> Any:
    if find_spec("redis") is None:
        raise MissingExtraError("RedisSessionManager._client", package="redis", extra="redis")
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    pool = BlockingConnectionPool(
        host=config.host,
        port=config.port,
        db=config.db,
        username=config.username,
        password=config.password,
        max_connections=config.max_connections,
        socket_timeout=config.socket_timeout,
        socket_connect_timeout=config.socket_connect_timeout,
        health_check_interval=config.health_check_interval,
        retry=Retry(NoBackoff(), 0),
        protocol=3,
    )
    return Redis.from_pool(pool)
