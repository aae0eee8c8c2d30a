"""What a repository knows of its sessions, and changes that are made only where that still holds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Generic, NamedTuple, TypeVar

from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError, VersionConflictError
from miniagent_store.integrations.seen import Seen, read_seen, write_seen
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Position

K = TypeVar("K")
V = TypeVar("V")

_KEPT = 1_000


class Conflict(Exception):
    """Another writer was faster; nothing was changed."""


class _Known(NamedTuple):
    """A value of a session's state as it was read or written here."""

    value: dict[str, Any]
    seen: Seen


class GuardedSessions:
    """Values and logs of sessions, with what was known of them last.

    Safe in any thread. What it has forgotten is read again.
    """

    def __init__(self) -> None:
        self._positions: _Latest[str, Position] = _Latest()
        self._values: _Latest[tuple[str, str], _Known] = _Latest()

    # State

    async def read(self, store: SessionStore, session_id: str, name: str) -> dict[str, Any] | None:
        """A value; None if it, or the session, is absent."""
        value, seen = await read_seen(store, session_id, name)
        if value is None:
            return None
        self._learn(session_id, name, value, seen)
        found: dict[str, Any] = value
        return found

    async def create(
        self,
        store: SessionStore,
        session_id: str,
        name: str,
        value: dict[str, Any],
        *,
        new_session: bool = False,
    ) -> None:
        """Set a value that is not there yet.

        Raises:
            VersionConflictError: it is.
            SessionNotFoundError: there is no such session, and it is not `new_session`.
        """
        async with store.batch(session_id, create=new_session) as batch:
            batch.state.set_if_absent(name, value, required=True)
        self._learn(session_id, name, value, Seen.after(batch))

    async def update(
        self, store: SessionStore, session_id: str, name: str, value: dict[str, Any], *, keep: str
    ) -> Any:
        """Set a value that is as it was known; `keep` names a field that stays, and is returned.

        Raises:
            VersionConflictError: it changed.
            SessionNotFoundError: there is none.
        """
        known = await self._known(store, session_id, name)
        kept = known.value.get(keep)
        if keep:
            value[keep] = kept
        self._learn(session_id, name, value, await write_seen(store, session_id, name, value, known.seen))
        return kept

    # Logs

    async def append(
        self, store: SessionStore, session_id: str, log: str, entry: dict[str, Any], at: int, *, owner: str
    ) -> None:
        """Append an entry where `at` entries stand, in the session in which the value `owner` was known.

        Raises:
            Conflict: more or fewer do, or the session was made anew.
            SessionNotFoundError: there is no such session or value.
        """
        known = (await self._known(store, session_id, owner)).seen.position

        def fits(position: Position) -> bool:
            return (
                known is not None and position.incarnation == known.incarnation and position.seq(log) == at
            )

        position = self._positions.get(session_id)
        if position is None or not fits(position):
            position = (await store.get(session_id)).position
        while fits(position):
            batch = store.batch(session_id)
            try:
                async with batch:
                    batch.append(entry, log=log, dedupe=False)
                    batch.expect_tail(position, log=log)
            except VersionConflictError:
                # It may be another log that was changed, which is no conflict.
                position = (await store.get(session_id)).position
            else:
                assert batch.result is not None
                self._positions.put(session_id, batch.result.session.position)
                return
        raise Conflict

    async def rewrite(
        self, store: SessionStore, session_id: str, log: str, entry: dict[str, Any], at: int, *, keep: str
    ) -> Any:
        """Put an entry in the place of that which follows `at` others; `keep` as in `update`.

        Raises:
            SessionNotFoundError: there is no such entry.
            InvalidArgumentError: one after it is a tombstone.
        """
        while True:
            snapshot = await store.snapshot(session_id, logs=(log,), after=at)
            old, *rest = snapshot.logs[log] or (None,)
            if old is None or old.seq != at + 1:
                raise SessionNotFoundError(session_id, hint="there is no such message")
            if any(each is None or each.redacted for each in rest):
                raise InvalidArgumentError("a message after it was redacted, and cannot be written again")
            entry[keep] = old.value.get(keep, entry.get(keep))
            try:
                session = await store.replace(
                    session_id,
                    [entry, *(each.value for each in rest if each is not None)],
                    from_seq=old.seq,
                    expected_tail=snapshot.position,
                    log=log,
                )
            except VersionConflictError:
                continue
            self._positions.put(session_id, session.position)
            return entry[keep]

    # What is known

    async def _known(self, store: SessionStore, session_id: str, name: str) -> _Known:
        known = self._values.get((session_id, name))
        if known is None:
            await self.read(store, session_id, name)
            known = self._values.get((session_id, name))
        if known is None:
            raise SessionNotFoundError(session_id, hint="it, or what is to change in it, is missing")
        return known

    def _learn(self, session_id: str, name: str, value: dict[str, Any], seen: Seen) -> None:
        self._values.put((session_id, name), _Known(value, seen))
        if seen.position is not None:
            self._positions.put(session_id, seen.position)


class _Latest(Generic[K, V]):
    """A dict of the keys used last."""

    def __init__(self) -> None:
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: K, value: V) -> None:
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            if len(self._values) > _KEPT:
                self._values.popitem(last=False)
