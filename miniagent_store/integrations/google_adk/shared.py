"""What sessions share: the state of an app, and of a user of an app.

Each stands in a record of its own, so it cannot change in the same commit as the session whose event
changed it. The session's commit keeps the change too, until a later one takes its place. If the process
dies between the two, whoever loads the session next applies it. That a change is applied once, and not
again after a later one, a mark in the record holds: it is set in the same commit as the values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from miniagent_store.errors import SessionNotFoundError, VersionConflictError
from miniagent_store.integrations.google_adk.names import (
    SCOPES,
    VALUES,
    Place,
    Scope,
    value_name,
    values_by_key,
)
from miniagent_store.options import TTL
from miniagent_store.store.protocol import SessionStore

KIND = "google_adk_state"
# Longer than any repair that began before the next change of the same session can take.
REPLACED_MARK_TTL = 3600


@dataclass(frozen=True, slots=True)
class SharedChange:
    """What one event of a session changes of the state of its app or user.

    Attributes:
        event_id: of the event; what makes it be applied once.
        values: the new values.
    """

    event_id: str
    values: Mapping[str, Any]

    def to_value(self) -> dict[str, Any]:
        """As it is kept in the session."""
        return {"event": self.event_id, "values": dict(self.values)}

    @classmethod
    def from_value(cls, value: Mapping[str, Any]) -> SharedChange:
        """What a session keeps."""
        return cls(value["event"], value["values"])


SharedChanges = dict[Scope, SharedChange]


class SharedState:
    """Reads and changes what sessions share.

    Args:
        ttl: after how long without a change it expires; None for never.
    """

    def __init__(self, ttl: TTL | None) -> None:
        self._ttl = ttl

    async def read(self, store: SessionStore, place: Place) -> dict[Scope, dict[str, Any]]:
        """The values of the app and those of the user."""
        found = await asyncio.gather(*(self.read_one(store, place, scope) for scope in SCOPES))
        return dict(zip(SCOPES, found, strict=True))

    async def read_one(self, store: SessionStore, place: Place, scope: Scope) -> dict[str, Any]:
        """The values of one of them."""
        try:
            snapshot = await store.snapshot(place.shared_id(scope), logs=(), state=VALUES)
        except SessionNotFoundError:
            return {}
        return values_by_key(snapshot.state)

    async def apply(
        self,
        store: SessionStore,
        place: Place,
        changes: SharedChanges,
        *,
        session_ttl: float | None,
        before: Mapping[Scope, str] | None = None,
    ) -> None:
        """Apply changes, but those that were.

        Args:
            store: the store.
            place: the session.
            changes: what its event changes.
            session_ttl: seconds after which the session expires, None for never.
            before: the events of the session whose changes were applied before.
        """
        # A mark is kept as long as the session can be loaded, and a while more.
        mark_ttl = None if session_ttl is None else 2 * session_ttl
        await asyncio.gather(
            *(
                self._apply_one(store, place.shared_id(scope), change, mark_ttl, (before or {}).get(scope))
                for scope, change in changes.items()
            )
        )

    async def repair(
        self, store: SessionStore, place: Place, changes: SharedChanges, *, session_ttl: float | None
    ) -> bool:
        """Apply what a process that died has left out; whether there was something."""
        missing: SharedChanges = {
            scope: change
            for scope, change in changes.items()
            if not await self._was_applied(store, place.shared_id(scope), change)
        }
        await self.apply(store, place, missing, session_ttl=session_ttl)
        return bool(missing)

    async def forget(self, store: SessionStore, place: Place, changes: SharedChanges) -> None:
        """Remove the marks of a session that is no more."""
        for scope, change in changes.items():
            try:
                await store.state(place.shared_id(scope)).delete(_mark(change.event_id))
            except SessionNotFoundError:
                continue

    async def _apply_one(
        self,
        store: SessionStore,
        record_id: str,
        change: SharedChange,
        mark_ttl: float | None,
        before: str | None,
    ) -> None:
        while True:
            try:
                async with store.batch(record_id) as batch:
                    batch.state.set_if_absent(_mark(change.event_id), True, ttl=mark_ttl, required=True)
                    for key, value in change.values.items():
                        batch.state.set(value_name(key), value)
                    if before is not None:
                        batch.state.set(_mark(before), True, ttl=REPLACED_MARK_TTL)
                return
            except VersionConflictError:
                # The mark is there: someone else was faster.
                return
            except SessionNotFoundError:
                await store.create(record_id, kind=KIND, ttl=self._ttl, exist_ok=True)

    async def _was_applied(self, store: SessionStore, record_id: str, change: SharedChange) -> bool:
        try:
            return await store.state(record_id).item(_mark(change.event_id)) is not None
        except SessionNotFoundError:
            return False


def _mark(event_id: str) -> str:
    return value_name(event_id).replace(VALUES, "applied/", 1)
