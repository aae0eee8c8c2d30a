"""`MiniAgentSessionService`: sessions of Google's ADK in a store."""

from __future__ import annotations

import asyncio
import math
import uuid
from types import TracebackType
from typing import Any, Self

from miniagent_store.errors import SessionExistsError, SessionNotFoundError
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.ids import join_id
from miniagent_store.integrations.google_adk.appending import Appending
from miniagent_store.integrations.google_adk.keeping import Kept
from miniagent_store.integrations.google_adk.lining_up import Line
from miniagent_store.integrations.google_adk.loading import (
    SHARED,
    Delta,
    changes_of,
    metadata_of,
    place_of,
    plain_state,
    session_of,
    time_of,
)
from miniagent_store.integrations.google_adk.marks import Mark
from miniagent_store.integrations.google_adk.names import Place, Scope
from miniagent_store.integrations.google_adk.shared import SharedState
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.recent import Recent
from miniagent_store.options import TTL
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL
from miniagent_store.values import Snapshot

with requires("google-adk", extra="google-adk"):
    from google.adk.errors.already_exists_error import AlreadyExistsError
    from google.adk.events.event import Event
    from google.adk.sessions.base_session_service import (
        BaseSessionService,
        GetSessionConfig,
        ListSessionsResponse,
    )
    from google.adk.sessions.session import Session

# How many sessions of a listing are read at once.
AT_ONCE = 32


class MiniAgentSessionService(BaseSessionService):
    """ADK's sessions, events and state, in any store.

    An event is one commit with the changes of its session's state; one that changes `app:` or `user:`
    state is followed by one commit for each of those. Where another process has appended to a session
    since it was loaded, `append_event` raises ADK's `StaleSessionError` and stores nothing. An event that
    is given again is stored once, by its id.

    May be called from any event loop and thread, as `Runner.run` does, and pickled.

    Args:
        store: a URL, a `SessionStore` or a `StoreHandle`.
        keep_events_of: of how many sessions, the latest ones loaded, this process keeps the events, so that
            loading one again reads and builds only what is new. Sessions that are loaded then share their
            `Event` objects, which must not be changed. 0, none, by default.
        shared_state_ttl: of `app:` and `user:` state, in seconds or as "30d", counted from its last
            change; never by default. A session's own TTL is the store's.
    """

    def __init__(
        self,
        store: str | StoreURL | SessionStore | StoreHandle | None = None,
        *,
        keep_events_of: int = 0,
        shared_state_ttl: TTL | None = None,
    ) -> None:
        self._handle, self._owns = handle_of(store), not isinstance(store, StoreHandle)
        self._shared = SharedState(shared_state_ttl)
        self._kept: Recent[Place, Kept] = Recent(keep_events_of)
        self._line = Line()

    def __repr__(self) -> str:
        return f"<MiniAgentSessionService on {self._handle.url}>"

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_line": None, "_kept": self._kept.size}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _line=Line(), _kept=Recent(state["_kept"]))

    # Sessions

    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Make a session.

        Raises:
            AlreadyExistsError: it is there.
            EncodeError: a value of `state` is not JSON.
        """
        place = Place.of(app_name, user_id, session_id)
        place = place if place.id else place._replace(id=str(uuid.uuid4()))
        delta = Delta.split(plain_state(state or {}))
        changes = delta.shared(uuid.uuid4().hex)

        async def create(store: SessionStore) -> Session | None:
            try:
                record = await store.create(
                    place.session_id,
                    user_id=join_id(place.user),
                    agent=join_id(place.app),
                    metadata=metadata_of(place, delta.session, changes),
                )
            except SessionExistsError:
                return None
            await self._shared.apply(store, place, changes, session_ttl=record.ttl)
            return _loaded(place, Snapshot(record, {}, {}), await self._shared.read(store, place))

        session = await self._handle.run_to_end(create)
        if session is None:
            raise AlreadyExistsError(f"Session with id {place.id} already exists.")
        return session

    async def get_session(
        self,
        *,
        app_name: str,
        user_id: str,
        session_id: str,
        config: GetSessionConfig | None = None,
    ) -> Session | None:
        """A session with its events, or those that `config` asks for; None if it is not there."""
        place = Place.of(app_name, user_id, session_id)
        if not place.id:
            return None
        last = config.num_recent_events if config else None
        after = config.after_timestamp if config else None
        # Entries know their time in milliseconds.
        after_time = None if after is None else time_of(math.floor(after * 1000) / 1000)

        keeping = self._kept.size > 0 and last is None and after is None
        known = self._kept.get(place) if keeping else None

        async def get(store: SessionStore) -> Session | None:
            try:
                snapshot, shared = await asyncio.gather(
                    store.snapshot(
                        place.session_id,
                        last=last,
                        after=known.position if known else None,
                        after_time=after_time,
                        state=True,
                    ),
                    self._shared.read(store, place),
                )
            except SessionNotFoundError:
                self._kept.drop(place)
                return None
            changes, ttl = changes_of(snapshot), snapshot.session.ttl
            if await self._shared.repair(store, place, changes, session_ttl=ttl):
                shared = await self._shared.read(store, place)
            if not keeping:
                return _loaded(place, snapshot, shared)
            kept = (known or Kept(snapshot.position)).after(snapshot)
            self._kept.put(place, kept)
            return _loaded(place, snapshot, shared, [*kept.events])

        session = await self._handle.run_to_end(get)
        if session is not None and after is not None:
            session.events = [event for event in session.events if event.timestamp >= after]
        return session

    async def list_sessions(self, *, app_name: str, user_id: str | None = None) -> ListSessionsResponse:
        """All sessions of an app, or of a user of it, oldest change first: their state, no events."""
        agent, user = join_id(app_name), None if user_id is None else join_id(user_id)

        async def read(store: SessionStore) -> list[Session]:
            places: list[Place] = []
            cursor: str | None = None
            while True:
                page = await store.list(agent=agent, user_id=user, cursor=cursor, limit=1000)
                places += [place for record in page if (place := place_of(record)) is not None]
                cursor = page.next_cursor
                if cursor is None:
                    return await self._read_states(store, app_name, places)

        sessions = await self._handle.run(read)
        sessions.sort(key=lambda session: (session.last_update_time, session.user_id, session.id))
        return ListSessionsResponse(sessions=sessions)

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Remove a session with its events and state; what sessions share stays."""
        place = Place.of(app_name, user_id, session_id)
        if not place.id:
            return

        async def delete(store: SessionStore) -> None:
            try:
                snapshot = await store.snapshot(place.session_id, logs=(), state=SHARED.values())
            except SessionNotFoundError:
                return
            changes, ttl = changes_of(snapshot), snapshot.session.ttl
            await self._shared.repair(store, place, changes, session_ttl=ttl)
            await store.delete(place.session_id)
            self._kept.drop(place)
            await self._shared.forget(store, place, changes)

        await self._handle.run_to_end(delete)

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """What all sessions of a user share, without the prefix ``user:``."""
        place = Place.of(app_name, user_id, None)
        return await self._handle.run(lambda store: self._shared.read_one(store, place, "user"))

    # Events

    async def append_event(self, session: Session, event: Event) -> Event:
        """Store an event with the state that it changes, and show both in `session`.

        Raises:
            StaleSessionError: another process has appended to the session since it was loaded.
            SessionNotFoundError: ADK's; the session is not there.
        """
        if event.partial:
            return event
        self._apply_temp_state(session, event)
        event = self._trim_temp_delta_state(event)
        place = Place.of(session.app_name, session.user_id, session.id)
        # Branches of one run append to one object at once: each needs the mark that the one before left.
        async with self._line.place(place):
            await self._handle.run_to_end(
                lambda store: Appending(store, self._shared, place, session, event).run()
            )
        return event

    async def flush(self) -> None:
        """Nothing is held back, so nothing is to be done."""

    async def _read_states(self, store: SessionStore, app_name: str, places: list[Place]) -> list[Session]:
        app = await self._shared.read_one(store, Place.of(app_name, "", None), "app")
        users: dict[str, dict[str, Any]] = {}
        limit = asyncio.Semaphore(AT_ONCE)

        async def read_user(place: Place) -> None:
            async with limit:
                users[place.user] = await self._shared.read_one(store, place, "user")

        async def read_session(place: Place) -> Session | None:
            async with limit:
                try:
                    snapshot = await store.snapshot(place.session_id, logs=(), state=True)
                except SessionNotFoundError:
                    return None
            return _loaded(place, snapshot, {"app": app, "user": users[place.user]})

        await asyncio.gather(*map(read_user, {place.user: place for place in places}.values()))
        found = await asyncio.gather(*map(read_session, places))
        return [session for session in found if session is not None]

    # Closing

    async def close(self) -> None:
        """Let go of connections that were opened here; a handle that was given stays open."""
        if self._owns:
            await self._handle.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _loaded(
    place: Place,
    snapshot: Snapshot,
    shared: dict[Scope, dict[str, Any]],
    events: list[Event] | None = None,
) -> Session:
    session = session_of(place, snapshot, shared, events)
    session._storage_update_marker = str(Mark.of(snapshot))
    return session
