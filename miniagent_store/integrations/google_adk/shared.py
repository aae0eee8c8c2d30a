"""What sessions share: the state of an app, and of a user of an app.

It stands in records of its own, so it cannot change in the same commit as the session whose event changed
it. The session's commit keeps the change too, until a later one takes its place. If the process dies
between the two, whoever loads the session next applies it. That an event's change is applied once, and not
again after a later one, a mark in the record holds: it is set in the same commit as the values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from miniagent_store.errors import SessionNotFoundError, VersionConflictError
from miniagent_store.integrations.google_adk.names import VALUES, Place, value_name, values_by_key
from miniagent_store.options import TTL
from miniagent_store.store.protocol import SessionStore

KIND = "google_adk_state"
# Longer than any repair that began before the next change of the same session can take.
REPLACED_MARK_TTL = 3600


@dataclass(frozen=True, slots=True)
class SharedChange:
    """A change of what sessions share, by one event of a session.

    Attributes:
        event_id: of the event; what makes it be applied once.
        app: new values of the app's state.
        user: new values of the user's state.
    """

    event_id: str
    app: Mapping[str, Any]
    user: Mapping[str, Any]

    def to_value(self) -> dict[str, Any]:
        """As it is kept in the session."""
        return {"event": self.event_id, "app": dict(self.app), "user": dict(self.user)}

    @classmethod
    def from_value(cls, value: Mapping[str, Any] | None) -> SharedChange | None:
        """What a session keeps; None for none."""
        return None if value is None else cls(value["event"], value["app"], value["user"])


class SharedState:
    """Reads and changes what sessions share.

    Args:
        ttl: after how many seconds without a change it expires; None for never.
    """

    def __init__(self, ttl: TTL | None) -> None:
        self._ttl = ttl

    async def read(self, store: SessionStore, place: Place) -> tuple[dict[str, Any], dict[str, Any]]:
        """The values of the app and those of the user."""
        app, user = await asyncio.gather(
            self.read_one(store, place.app_state_id), self.read_one(store, place.user_state_id)
        )
        return app, user

    async def read_one(self, store: SessionStore, record_id: str) -> dict[str, Any]:
        """The values of one of them."""
        try:
            snapshot = await store.snapshot(record_id, logs=(), state=VALUES)
        except SessionNotFoundError:
            return {}
        return values_by_key(snapshot.state)

    async def apply(
        self,
        store: SessionStore,
        place: Place,
        change: SharedChange,
        *,
        session_ttl: float | None,
        before: str | None = None,
    ) -> None:
        """Apply a change, unless it was.

        Args:
            store: the store.
            place: the session.
            change: what its event changes.
            session_ttl: seconds after which the session expires, None for never.
            before: the event of the session whose change was applied before.
        """
        await asyncio.gather(
            self._apply_one(store, place.app_state_id, change.event_id, change.app, session_ttl, before),
            self._apply_one(store, place.user_state_id, change.event_id, change.user, session_ttl, before),
        )

    async def applied(self, store: SessionStore, place: Place, change: SharedChange) -> bool:
        """Whether a change was applied."""
        mark = _mark(change.event_id)

        async def marked(record_id: str, values: Mapping[str, Any]) -> bool:
            if not values:
                return True
            try:
                return await store.state(record_id).item(mark) is not None
            except SessionNotFoundError:
                return False

        return all(
            await asyncio.gather(
                marked(place.app_state_id, change.app), marked(place.user_state_id, change.user)
            )
        )

    async def forget(self, store: SessionStore, place: Place, change: SharedChange) -> None:
        """Remove the marks of a session that is no more."""
        for record_id, values in ((place.app_state_id, change.app), (place.user_state_id, change.user)):
            if values:
                try:
                    await store.state(record_id).delete(_mark(change.event_id))
                except SessionNotFoundError:
                    continue

    async def _apply_one(
        self,
        store: SessionStore,
        record_id: str,
        event_id: str,
        values: Mapping[str, Any],
        session_ttl: float | None,
        before: str | None,
    ) -> None:
        if not values:
            return
        while True:
            try:
                async with store.batch(record_id) as batch:
                    # Kept as long as the session can be loaded, and a while more.
                    mark_ttl = None if session_ttl is None else 2 * session_ttl
                    batch.state.set_if_absent(_mark(event_id), True, ttl=mark_ttl, required=True)
                    for key, value in values.items():
                        batch.state.set(value_name(key), value)
                    if before is not None:
                        batch.state.set(_mark(before), True, ttl=REPLACED_MARK_TTL)
                return
            except VersionConflictError:
                return
            except SessionNotFoundError:
                await store.create(record_id, kind=KIND, ttl=self._ttl, exist_ok=True)


def _mark(event_id: str) -> str:
    return value_name(event_id).replace(VALUES, "applied/", 1)
