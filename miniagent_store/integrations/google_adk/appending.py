"""An event as one commit, if nobody else has appended since the session was loaded."""

from __future__ import annotations

from typing import Any

from miniagent_store.errors import SessionNotFoundError, VersionConflictError
from miniagent_store.integrations.google_adk.loading import (
    SHARED,
    UPDATED,
    Delta,
    plain_event,
    time_of,
    updated,
)
from miniagent_store.integrations.google_adk.marks import Mark
from miniagent_store.integrations.google_adk.names import Place, value_name
from miniagent_store.integrations.google_adk.shared import SharedState
from miniagent_store.integrations.lacking import requires
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import MESSAGES
from miniagent_store.values import Session as Record

with requires("google-adk", extra="google-adk"):
    from google.adk.errors import StaleSessionError
    from google.adk.errors.session_not_found_error import SessionNotFoundError as AdkSessionNotFoundError
    from google.adk.events.event import Event
    from google.adk.sessions.session import Session

STALE = (
    "The session has been modified in storage since it was loaded. "
    "Please reload the session before appending more events."
)
# Among how many of its latest events one that is given again is sought.
RECENT = 100


class Appending:
    """One event on its way into one session.

    Args:
        store: the store, in its loop.
        shared: reads and changes what sessions share.
        place: the session.
        session: its object, which shows the event as soon as it is stored.
        event: the event.
    """

    def __init__(
        self, store: SessionStore, shared: SharedState, place: Place, session: Session, event: Event
    ) -> None:
        self._store, self._shared, self._place = store, shared, place
        self._session, self._event = session, event
        self._plain = plain_event(event)
        self._delta = Delta.split(self._plain.get("actions", {}).get("state_delta") or {})
        self._changes = self._delta.shared(event.id)

    async def run(self) -> bool:
        """Store the event; whether it is new in the session.

        Raises:
            StaleSessionError: the session is not what is stored.
            SessionNotFoundError: ADK's; there is none.
        """
        try:
            new = await self._stored()
        except SessionNotFoundError:
            raise AdkSessionNotFoundError(f"Session {self._place.id} not found.") from None
        if new is None:
            raise StaleSessionError(STALE)
        return new

    async def _stored(self) -> bool | None:
        """Whether it is new; None where the session is stale."""
        event, session = self._event, self._session
        mark = Mark.parse(session._storage_update_marker) or await self._mark_of_stored()
        if mark is None:
            return None
        if any(each.id == event.id and each == event for each in session.events[-RECENT:]):
            record = await self._store.get(self._place.session_id)
            await self._share(record, None)
            return False
        try:
            record = await self._commit(mark)
        except VersionConflictError:
            stored = await self._stored_before(mark)
            if stored is None:
                return None
            record = stored
        # Now, and not after what follows: if that fails, the object still shows what is stored.
        session.last_update_time = event.timestamp
        session._storage_update_marker = str(mark.after(record.position, self._changes))
        for key, value in event.actions.state_delta.items():
            session.state[key] = value
        session.events.append(event)
        await self._share(record, mark)
        return True

    async def _commit(self, mark: Mark) -> Record:
        time = time_of(self._event.timestamp)
        async with self._store.batch(self._place.session_id) as batch:
            batch.expect_tail(mark.position)
            batch.append(self._plain, time=time)
            for key, value in self._delta.session.items():
                batch.state.set(value_name(key), value)
            batch.state.set(UPDATED, self._event.timestamp)
            for scope, change in self._changes.items():
                batch.state.set(SHARED[scope], change.to_value())
            batch.last_activity = time
        assert batch.result is not None
        return batch.result.session

    async def _share(self, record: Record, mark: Mark | None) -> None:
        before = mark.shared if mark else None
        await self._shared.apply(
            self._store, self._place, self._changes, session_ttl=record.ttl, before=before
        )

    async def _stored_before(self, mark: Mark) -> Record | None:
        """The record, if all that came after `mark` is this event: the reply to its commit was lost."""
        snapshot = await self._store.snapshot(self._place.session_id, last=2)
        entries = snapshot.logs[MESSAGES]
        if len(entries) == 0 or dict(entries[-1].value) != self._plain:
            return None
        then, now = mark.position, snapshot.position
        before = entries[0].seq if len(entries) == 2 else entries[0].seq - 1
        same = (then.incarnation, then.epoch, then.seq(MESSAGES)) == (now.incarnation, now.epoch, before)
        return snapshot.session if same else None

    async def _mark_of_stored(self) -> Mark | None:
        """The mark for an object that was not loaded here, if it shows what is stored; else None."""
        snapshot = await self._store.snapshot(
            self._place.session_id, last=1, state=(UPDATED, *SHARED.values())
        )
        stored: list[Any] = [entry.value.get("id") for entry in snapshot.logs[MESSAGES]]
        shown = [event.id for event in self._session.events[-1:]]
        if stored != shown and updated(snapshot) > self._session.last_update_time:
            return None
        return Mark.of(snapshot)
