"""Changes of a session that are made only where nobody else has been since it was read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError, VersionConflictError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Position

if TYPE_CHECKING:
    from miniagent_store import Batch

K = TypeVar("K")
V = TypeVar("V")

_KEPT = 1_000


class Conflict(Exception):
    """Another writer was faster, or what is to be made is there already; nothing was changed."""


class Known(NamedTuple):
    """A value of a session's state as it was read or written here.

    Attributes:
        incarnation: of its session.
        version: of the value.
        value: the value.
    """

    incarnation: str
    version: int
    value: dict[str, Any]


class GuardedSessions:
    """Values and logs of sessions, with what was known of them last.

    Safe in any thread. What it has forgotten is read again.
    """

    def __init__(self) -> None:
        self._positions: _Latest[str, Position] = _Latest()
        self._values: _Latest[tuple[str, str], Known] = _Latest()

    # State

    async def read(self, store: SessionStore, session_id: str, name: str) -> dict[str, Any] | None:
        """A value; None if it, or the session, is absent."""
        try:
            # The record first: should the session be replaced in between, a later write is refused.
            position = await self._look(store, session_id)
            item = await store.state(session_id).item(name)
        except SessionNotFoundError:
            return None
        if item is None:
            return None
        self._values.put((session_id, name), Known(position.incarnation, item.version, item.value))
        found: dict[str, Any] = item.value
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
        self._learn(batch, session_id, name, value)

    async def update(
        self, store: SessionStore, session_id: str, name: str, value: dict[str, Any], *, keep: str
    ) -> Any:
        """Set a value that is as it was read; `keep` names a field that stays, and is returned.

        Raises:
            Conflict: it changed, or there is none.
        """
        known = await self._known(store, session_id, name)
        kept = known.value.get(keep)
        if keep:
            value[keep] = kept
        position = self._positions.get(session_id) or await self._look(store, session_id)
        while position.incarnation == known.incarnation:
            try:
                async with store.batch(session_id) as batch:
                    batch.state.set(name, value, if_version=known.version)
                    # Versions come again in a session that was deleted and made anew.
                    batch.expect_tail(position, log=name)
            except VersionConflictError:
                before, position = position, await self._look(store, session_id)
                if position.epoch == before.epoch:
                    break
            else:
                self._learn(batch, session_id, name, value)
                return kept
        raise Conflict

    # Logs

    async def append(
        self, store: SessionStore, session_id: str, log: str, entry: dict[str, Any], at: int, *, owner: str
    ) -> None:
        """Append an entry where `at` entries stand, in the session in which the value `owner` was known.

        Raises:
            Conflict: more or fewer do, or there is no such session or value.
        """
        known = await self._known(store, session_id, owner)

        def fits(position: Position) -> bool:
            return position.incarnation == known.incarnation and position.seq(log) == at

        position = self._positions.get(session_id)
        if position is None or not fits(position):
            position = await self._look(store, session_id)
        while fits(position):
            try:
                async with store.batch(session_id) as batch:
                    batch.append(entry, log=log, dedupe=False)
                    batch.expect_tail(position, log=log)
            except VersionConflictError:
                # Another log may have been changed, which is no conflict.
                position = await self._look(store, session_id)
            else:
                self._learn(batch, session_id)
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
            if any(each.redacted for each in rest):
                raise InvalidArgumentError("a message after it was redacted, and cannot be written again")
            entry[keep] = old.value.get(keep, entry.get(keep))
            try:
                session = await store.replace(
                    session_id,
                    [entry, *(each.value for each in rest)],
                    from_seq=old.seq,
                    expected_tail=snapshot.position,
                    log=log,
                )
            except VersionConflictError:
                continue
            self._positions.put(session_id, session.position)
            return entry[keep]

    # What is known

    async def _known(self, store: SessionStore, session_id: str, name: str) -> Known:
        known = self._values.get((session_id, name))
        if known is None:
            if await self.read(store, session_id, name) is None:
                raise SessionNotFoundError(session_id, hint="it, or what is to change in it, is missing")
            known = self._values.get((session_id, name))
            assert known is not None
        return known

    async def _look(self, store: SessionStore, session_id: str) -> Position:
        position = (await store.get(session_id)).position
        self._positions.put(session_id, position)
        return position

    def _learn(
        self, batch: Batch, session_id: str, name: str | None = None, value: dict[str, Any] | None = None
    ) -> None:
        assert batch.result is not None
        session = batch.result.session
        self._positions.put(session_id, session.position)
        if name is not None and value is not None:
            known = Known(session.position.incarnation, session.version, value)
            self._values.put((session_id, name), known)


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
