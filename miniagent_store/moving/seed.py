"""What MiniAgent's own Redis classes left behind, as sessions.

    session:<id>    JSON: user_id, agent_name, created_at, metadata, ended_at, total_messages
    thread:<id>     a pickle of {messages, events}, read by a machine that makes nothing else of it; or
                    JSON, with the events compressed where there were many
    metadata:<id>   a hash of analytics

Everything about a session is made of what is stored, so that reading it twice gives the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from miniagent_store.backend import LogTail, Record, StoredEntry, StoredValue
from miniagent_store.codec.unsafe import legacy_reader
from miniagent_store.errors import (
    BackendUnavailableError,
    ConfigurationError,
    DecodeError,
    MissingExtraError,
    StoreError,
)
from miniagent_store.ids import check_id
from miniagent_store.moving.plain_values import PlainValues
from miniagent_store.moving.walking import Seen
from miniagent_store.moving.whole import WholeSession, core_of
from miniagent_store.plugins import shared_plugins
from miniagent_store.serializer import Context
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import redact_text
from miniagent_store.values import EVENTS, MESSAGES, to_ms

SESSION, THREAD, METADATA = "session:", "thread:", "metadata:"
# What is left of a session's data, and its analytics, become values under these names.
SESSION_VALUE, METADATA_VALUE = "seed.session", "seed.metadata"
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_SCAN = 500


class SeedData:
    """Reads a Redis that MiniAgent's own classes wrote to; nothing there is changed.

    Args:
        url: of the Redis, as redis-py takes it.
        store: where the sessions go to, whose limits and times to live hold.

    Attributes:
        problems: sessions that cannot be read, and why.
    """

    def __init__(self, url: str, store: SessionStore) -> None:
        self._url, self._core = url, core_of(store)
        self._values = PlainValues(self._core)
        self._limits = self._core.coding.codec.limits
        plugins = shared_plugins()
        # Asked for by name on the command line, and neither makes anything but plain values.
        names = ("pickle-thread", "json")
        self._readers = [legacy_reader(name, plugins, allow_pickle=True) for name in names]
        self.problems: list[str] = []

    async def sessions(self) -> AsyncIterator[WholeSession]:
        """All sessions and threads.

        Raises:
            BackendUnavailableError, ConfigurationError: the Redis cannot be reached, or the URL is wrong.
        """
        try:
            import redis.asyncio as redis
            from redis.exceptions import RedisError
        except ImportError as error:
            raise MissingExtraError("--from-seed", package="redis", extra="redis") from error
        try:
            client = redis.Redis.from_url(self._url)
        except ValueError as error:
            raise ConfigurationError(f"--from-seed: {redact_text(str(error))}") from error
        try:
            with Seen() as seen:
                for prefix in (SESSION, THREAD):
                    async for key in client.scan_iter(match=f"{prefix}*", count=_SCAN):
                        session_id = key.removeprefix(prefix.encode()).decode(errors="replace")
                        if not seen.add(session_id):
                            continue
                        session = await self._read(client, session_id)
                        if session is not None:
                            yield session
        except RedisError as error:
            raise BackendUnavailableError(
                f"the seed's Redis cannot be read: {redact_text(str(error))}"
            ) from error
        finally:
            await client.aclose()

    async def _read(self, client: Any, session_id: str) -> WholeSession | None:
        keys = [f"{prefix}{session_id}" for prefix in (SESSION, THREAD)]
        async with client.pipeline(transaction=False) as pipe:
            pipe.mget(keys)
            pipe.hgetall(f"{METADATA}{session_id}")
            pipe.pttl(keys[0])
            pipe.pttl(keys[1])
            (data, thread), analytics, *left = await pipe.execute(raise_on_error=False)
            now_ms = self._core.backend.now_ms()
        if data is None and thread is None:
            return None  # it has expired just now
        try:
            return self._session(
                check_id(session_id),
                {} if data is None else _mapping(self._decoded(data)),
                {} if thread is None else _thread(self._decoded(thread)),
                analytics if isinstance(analytics, dict) else {},
                max(left) if -1 not in left else None,
                now_ms,
            )
        except (StoreError, ValueError, TypeError, KeyError) as error:
            self.problems.append(f"the seed's session {session_id!r}: {error}")
            return None

    def _decoded(self, data: bytes) -> Any:
        place = Context("", "session", "seed", "thread")
        for reader in self._readers:
            if reader.recognises(data):
                return reader.read(data, place, self._limits)
        raise DecodeError("not an envelope", detail="it is neither JSON nor a pickled thread")

    def _session(
        self,
        session_id: str,
        data: Mapping[str, Any],
        thread: Mapping[str, Sequence[Any]],
        analytics: Mapping[bytes, bytes],
        left_ms: int | None,
        now_ms: int,
    ) -> WholeSession:
        created_ms = _time_ms(data.get("created_at"))
        logs: dict[str, tuple[StoredEntry, ...]] = {}
        active_ms = created_ms or 0
        for log in (MESSAGES, EVENTS):
            entries: list[StoredEntry] = []
            for seq, value in enumerate(thread.get(log, ()), 1):
                payload = self._values.json_of(value if isinstance(value, Mapping) else {"value": value})
                time_ms = _time_ms(value.get("timestamp")) if isinstance(value, Mapping) else None
                active_ms = max(active_ms, time_ms or 0)
                place = f"{session_id}\n{log}\n{seq}\n".encode()
                entry_id = hashlib.sha256(place + payload).digest()[:12]
                entries.append(StoredEntry(seq, 1, entry_id, time_ms or active_ms, payload))
            logs[log] = tuple(entries)
        active_ms = max(active_ms, _time_ms(data.get("ended_at")) or 0)
        metadata = data.get("metadata")
        rest = {
            name: value
            for name, value in data.items()
            if name not in {"session_id", "user_id", "agent_name", "created_at", "metadata"}
        }
        values = {
            METADATA_VALUE: {_text(name): _text(value) for name, value in analytics.items()},
            SESSION_VALUE: rest,
        }
        user_id = data.get("user_id")
        agent = data.get("agent_name")
        if user_id == "anonymous":
            user_id = None
        record = Record(
            session_id=session_id,
            kind="session",
            user_id=check_id(user_id, what="user id") if user_id else None,
            agent=check_id(agent, what="agent") if agent else None,
            tags=(),
            created_ms=active_ms if created_ms is None else created_ms,
            last_activity_ms=active_ms,
            expires_ms=None if left_ms is None else now_ms + left_ms,
            ttl_ms=None if left_ms is None else self._core.options.ttl or _ttl_of(left_ms),
            sliding=self._core.options.ttl_mode == "sliding",
            version=1,
            epoch=0,
            incarnation="",
            token=b"",
            metadata=self._values.json_of(metadata) if metadata else b"",
            logs={log: LogTail(0, len(entries)) for log, entries in logs.items() if entries},
            size=0,
            fence=0,
        )
        return WholeSession(
            record,
            {log: entries for log, entries in logs.items() if entries},
            tuple(
                StoredValue(name, 1, self._values.json_of(value))
                for name, value in sorted(values.items())
                if value
            ),
            plain=True,
        )


def _ttl_of(left_ms: int) -> int:
    """The seed's own, or what is left in whole days, which reading it again does not change soon."""
    return _HOUR_MS if left_ms <= _HOUR_MS else -(-left_ms // _DAY_MS) * _DAY_MS


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DecodeError("corrupt", detail="a session of the seed is a JSON object")
    return value


def _thread(value: Any) -> Mapping[str, Sequence[Any]]:
    if isinstance(value, list):
        return {MESSAGES: value}
    if isinstance(value, Mapping):
        logs = {log: value.get(log, []) for log in (MESSAGES, EVENTS)}
        if all(isinstance(each, list) for each in logs.values()):
            return logs
    raise DecodeError("corrupt", detail="a thread of the seed is an object with messages and events")


def _time_ms(time: Any) -> int | None:
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return None
    if not isinstance(time, datetime):
        return None
    # The seed's clock had no zone.
    return to_ms(time if time.tzinfo is not None else time.replace(tzinfo=UTC))


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
