"""Agent Framework's `SessionStore`: snapshots of an `AgentSession` by id."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.ids import join_id
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.seen import ABSENT, Seen, read_seen, write_seen
from miniagent_store.store.protocol import SessionStore

with requires("agent-framework-core", extra="agent-framework"):
    from agent_framework import AgentSession
    from agent_framework import SessionStore as AgentSessionStore

KIND = "agent-session"
_SESSION = "session"
_ABSENT_KEPT = 10_000


class MiniAgentSessionStore(AgentSessionStore):
    """Sessions of agents on any store.

    A session that was got from it is set only where nobody else has set it since, and a new one, where
    `get` found none, only where there is none still; that is a `VersionConflictError` otherwise: get it
    again, and run again. A session from elsewhere replaces what is there, as the contract says.

    Args:
        store: a URL, a `SessionStore` or a `StoreHandle`.
        prefix: the first part of the ids of its sessions.
    """

    def __init__(self, store: str | SessionStore | StoreHandle, *, prefix: str = "agent-session") -> None:
        # Not the base's: that is a dict of sessions.
        self._handle = handle_of(store)
        self._prefix = prefix
        self._seen: WeakKeyDictionary[AgentSession, tuple[str, Seen]] = WeakKeyDictionary()
        self._absent: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), self._handle, self._prefix)

    async def get(self, session_id: str) -> AgentSession | None:
        """A copy of a session; None if there is none.

        Raises:
            ValueError: the id is not valid, or the session's state cannot be restored.
            StoreError: the store cannot give it.
        """
        key = self._id(session_id)
        value, seen = await self._handle.run(lambda store: read_seen(store, key, _SESSION))
        if value is None:
            self._note_absent(key)
            return None
        with self._lock:
            self._absent.pop(key, None)
        session = AgentSession.from_dict(value)
        self._note(session, key, seen)
        return session

    async def set(self, session_id: str, session: AgentSession) -> None:
        """Store a session, in one commit.

        Raises:
            ValueError: the id is not valid, or a number in the state is not finite.
            TypeError: it is no plain `AgentSession`, or its state holds what is not JSON.
            VersionConflictError: another has set or deleted it since it was looked for here.
            StoreError: it was not stored.
        """
        key = self._id(session_id)
        value = _plain(session)
        seen = self._last_seen(session, key)

        async def work(store: SessionStore) -> None:
            if seen is not None:
                written = await write_seen(store, key, _SESSION, value, seen, kind=KIND)
            else:
                async with store.batch(key, create=True, kind=KIND) as batch:
                    batch.state.set(_SESSION, value)
                written = Seen.after(batch)
            # Here, since the caller may be cancelled meanwhile.
            self._note(session, key, written)

        await self._handle.run_to_end(work)

    async def delete(self, session_id: str) -> None:
        """Remove a session, if it is there.

        Raises:
            ValueError: the id is not valid.
            StoreError: it was not removed.
        """
        key = self._id(session_id)
        await self._handle.run_to_end(lambda store: store.delete(key))

    def _id(self, session_id: str) -> str:
        self.validate_session_id(session_id)
        return join_id(self._prefix, session_id)

    def _last_seen(self, session: AgentSession, key: str) -> Seen | None:
        with self._lock:
            place, seen = self._seen.get(session, ("", ABSENT))
            if place == key:
                return seen
            return ABSENT if key in self._absent else None

    def _note(self, session: AgentSession, key: str, seen: Seen) -> None:
        with self._lock:
            self._seen[session] = key, seen

    def _note_absent(self, key: str) -> None:
        with self._lock:
            self._absent[key] = None
            if len(self._absent) > _ABSENT_KEPT:
                self._absent.popitem(last=False)


def _unpickled(cls: type[MiniAgentSessionStore], handle: StoreHandle, prefix: str) -> MiniAgentSessionStore:
    return cls(handle, prefix=prefix)


def _plain(session: AgentSession) -> dict[str, Any]:
    """The framework's own JSON of a session."""
    if type(session) is not AgentSession:
        raise TypeError("only a plain AgentSession can be stored, since it is restored as one")
    value = session.to_dict()
    if isinstance(value.get("service_session_id"), Mapping):
        value["service_session_id"] = dict(value["service_session_id"])
    plain: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    return plain
