"""Strands' `SessionRepository`: agents as state, the messages of each agent as a log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from miniagent_store.errors import SessionNotFoundError, StoreError, VersionConflictError
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.ids import join_id
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.strands.guarded import Conflict, GuardedSessions
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Entry

with requires("strands-agents", extra="strands"):
    from strands.session.session_repository import SessionRepository
    from strands.types.exceptions import SessionException
    from strands.types.session import Session, SessionAgent, SessionMessage

if TYPE_CHECKING:
    from strands.multiagent.base import MultiAgentBase

_SESSION = "session"


class MiniAgentSessionRepository(SessionRepository):
    """Sessions of Strands on any store: ``RepositorySessionManager(session_id, repository)``.

    A message is one commit, which stores it at the position that its `message_id` says, or nowhere: where
    another manager has written there, that is a `SessionException`. So is writing an agent whose stored
    state changed since it was read through this object: give each session manager its own, with one
    handle for all.

    Blocking, as its contract is; may be called from any thread, also inside a running event loop. All
    calls raise `SessionException` where the store fails.

    Args:
        store: a URL, a `SessionStore` or a `StoreHandle`.
        prefix: the first part of the ids of its sessions.
    """

    def __init__(self, store: str | SessionStore | StoreHandle, *, prefix: str = "strands") -> None:
        self._handle = handle_of(store)
        self._prefix = prefix
        self._sessions = GuardedSessions()

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, (type(self), self._handle, self._prefix)

    # Sessions

    def create_session(self, session: Session, **kwargs: Any) -> Session:
        """Make a session.

        Raises:
            SessionException: it is there already.
        """
        value = _plain(session.to_dict())
        with _as_session_exceptions(conflict="the session exists already"):
            session_id = self._id(session.session_id)
            self._handle.run_blocking(
                lambda store: self._sessions.create(store, session_id, _SESSION, value, new_session=True)
            )
        return session

    def read_session(self, session_id: str, **kwargs: Any) -> Session | None:
        """A session; None if there is none."""
        found = self._read(session_id, _SESSION)
        return None if found is None else Session.from_dict(found)

    def delete_session(self, session_id: str, **kwargs: Any) -> None:
        """Remove a session with all that belongs to it.

        Raises:
            SessionException: there is none.
        """
        with _as_session_exceptions():
            key = self._id(session_id)
            if not self._handle.run_blocking(lambda store: store.delete(key)):
                raise SessionNotFoundError(key)

    # Agents

    def create_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        """Add an agent to a session.

        Raises:
            SessionException: there is no such session, or the agent is there already.
        """
        self._create(session_id, _agent(session_agent.agent_id), session_agent.to_dict())

    def read_agent(self, session_id: str, agent_id: str, **kwargs: Any) -> SessionAgent | None:
        """An agent; None if there is none."""
        found = self._read(session_id, _agent(agent_id))
        return None if found is None else SessionAgent.from_dict(found)

    def update_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        """Write an agent anew; its time of creation stays.

        Raises:
            SessionException: there is none, or another writer changed it since it was read.
        """
        session_agent.created_at = self._update(
            session_id, _agent(session_agent.agent_id), session_agent.to_dict(), keep="created_at"
        )

    # Messages

    def create_message(
        self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any
    ) -> None:
        """Append a message, in one commit.

        Raises:
            SessionException: there is no such agent, or another message stands at its position, or none
                before it.
        """
        entry, at = _plain(session_message.to_dict()), _position(session_message.message_id)
        with _as_session_exceptions(conflict=_TAKEN):
            key = self._id(session_id)
            self._handle.run_blocking(
                lambda store: self._sessions.append(
                    store, key, _log(agent_id), entry, at, owner=_agent(agent_id)
                )
            )

    def read_message(
        self, session_id: str, agent_id: str, message_id: int, **kwargs: Any
    ) -> SessionMessage | None:
        """A message by its position; None if there is none."""
        found = self._messages(session_id, agent_id, after=_position(message_id), limit=1)
        return found[0] if found and found[0].message_id == message_id else None

    def update_message(
        self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any
    ) -> None:
        """Write a message anew in its place; its time of creation stays.

        What follows it in the log is written again, so this is quick for late messages, such as the
        latest, which Strands redacts.

        Raises:
            SessionException: there is no such message.
        """
        entry, at = _plain(session_message.to_dict()), _position(session_message.message_id)
        with _as_session_exceptions():
            key = self._id(session_id)
            session_message.created_at = self._handle.run_blocking(
                lambda store: self._sessions.rewrite(
                    store, key, _log(agent_id), entry, at, keep="created_at"
                )
            )

    def list_messages(
        self, session_id: str, agent_id: str, limit: int | None = None, offset: int = 0, **kwargs: Any
    ) -> list[SessionMessage]:
        """Messages in order: at most `limit`, from position `offset` on."""
        return self._messages(session_id, agent_id, after=offset, limit=limit)

    # Graphs and swarms

    def create_multi_agent(self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any) -> None:
        """Add the state of an orchestrator to a session.

        Raises:
            SessionException: there is no such session, or it is there already.
        """
        self._create(session_id, _multi_agent(multi_agent.id), multi_agent.serialize_state())

    def read_multi_agent(
        self, session_id: str, multi_agent_id: str, **kwargs: Any
    ) -> dict[str, Any] | None:
        """The state of an orchestrator; None if there is none."""
        return self._read(session_id, _multi_agent(multi_agent_id))

    def update_multi_agent(self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any) -> None:
        """Write the state of an orchestrator anew.

        Raises:
            SessionException: there is none, or another writer changed it since it was read.
        """
        self._update(session_id, _multi_agent(multi_agent.id), multi_agent.serialize_state())

    # All of them

    def _id(self, session_id: str) -> str:
        return join_id(self._prefix, session_id)

    def _create(self, session_id: str, name: str, value: Mapping[str, Any]) -> None:
        plain = _plain(value)
        with _as_session_exceptions(conflict="it exists already in the session"):
            key = self._id(session_id)
            self._handle.run_blocking(lambda store: self._sessions.create(store, key, name, plain))

    def _read(self, session_id: str, name: str) -> dict[str, Any] | None:
        with _as_session_exceptions():
            key = self._id(session_id)
            return self._handle.run_blocking(lambda store: self._sessions.read(store, key, name))

    def _update(self, session_id: str, name: str, value: Mapping[str, Any], keep: str = "") -> Any:
        plain = _plain(value)
        with _as_session_exceptions(conflict=_CHANGED):
            key = self._id(session_id)
            return self._handle.run_blocking(
                lambda store: self._sessions.update(store, key, name, plain, keep=keep)
            )

    def _messages(
        self, session_id: str, agent_id: str, *, after: int, limit: int | None
    ) -> list[SessionMessage]:
        async def work(store: SessionStore) -> list[Entry]:
            return await store.entries(key, log=_log(agent_id), after=after, limit=limit)

        with _as_session_exceptions():
            key = self._id(session_id)
            try:
                entries = self._handle.run_blocking(work)
            except SessionNotFoundError:
                return []
        return [SessionMessage.from_dict(dict(entry.value)) for entry in entries if not entry.redacted]


_TAKEN = (
    "another writer has added to this agent's messages (or its session was made anew) since they were "
    "read; nothing was stored, build the agent anew and repeat"
)
_CHANGED = (
    "another writer changed it since it was read; nothing was stored, build the agent anew and repeat"
)


def _unpickled(
    cls: type[MiniAgentSessionRepository], handle: StoreHandle, prefix: str
) -> MiniAgentSessionRepository:
    return cls(handle, prefix=prefix)


def _agent(agent_id: str) -> str:
    return f"agent/{join_id(agent_id)}"


def _multi_agent(multi_agent_id: str) -> str:
    return f"multi_agent/{join_id(multi_agent_id)}"


def _log(agent_id: str) -> str:
    return f"m:{join_id(agent_id)}"


def _position(message_id: object) -> int:
    if not isinstance(message_id, int) or isinstance(message_id, bool) or message_id < 0:
        raise ValueError("a message id must be a whole number, counted from 0")
    return message_id


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Strands' own JSON of a value."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(value))
    except (TypeError, ValueError):
        bad = True
    else:
        return plain
    assert bad
    raise SessionException("it holds something that is not JSON, and cannot be stored")


@contextmanager
def _as_session_exceptions(*, conflict: str = "") -> Iterator[None]:
    try:
        yield
    except (Conflict, VersionConflictError) as error:
        raise SessionException(conflict or str(error)) from error
    except StoreError as error:
        raise SessionException(str(error)) from error
