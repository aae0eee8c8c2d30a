"""Records, entries and state of a store as the sessions, events and state of ADK, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from miniagent_store.errors import EncodeError
from miniagent_store.integrations.google_adk.names import SCOPES, Place, Scope, values_by_key
from miniagent_store.integrations.google_adk.shared import SharedChange, SharedChanges
from miniagent_store.integrations.lacking import requires
from miniagent_store.values import MESSAGES, Entry, Session, Snapshot

with requires("google-adk", extra="google-adk"):
    from google.adk.events.event import Event
    from google.adk.sessions.session import Session as AdkSession
    from google.adk.sessions.state import State
    from pydantic_core import PydanticSerializationError, to_jsonable_python

METADATA = "google_adk"
UPDATED = "updated"
SHARED: dict[Scope, str] = {"app": "shared/app", "user": "shared/user"}


@dataclass(frozen=True, slots=True)
class Delta:
    """Changes of state by what they change, without the prefixes; what is temporary is left out."""

    app: dict[str, Any]
    user: dict[str, Any]
    session: dict[str, Any]

    @classmethod
    def split(cls, changes: Mapping[str, Any]) -> Delta:
        """`changes`, whose keys carry the prefixes."""
        delta = cls({}, {}, {})
        for key, value in changes.items():
            if key.startswith(State.APP_PREFIX):
                delta.app[key.removeprefix(State.APP_PREFIX)] = value
            elif key.startswith(State.USER_PREFIX):
                delta.user[key.removeprefix(State.USER_PREFIX)] = value
            elif not key.startswith(State.TEMP_PREFIX):
                delta.session[key] = value
        return delta

    def shared(self, event_id: str) -> SharedChanges:
        """The parts of it that sessions share."""
        parts: dict[Scope, dict[str, Any]] = {"app": self.app, "user": self.user}
        return {scope: SharedChange(event_id, values) for scope, values in parts.items() if values}


def plain_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """State as JSON has it.

    Raises:
        EncodeError: a value has no JSON.
    """
    try:
        plain: dict[str, Any] = to_jsonable_python(dict(state))
    except PydanticSerializationError:
        pass
    else:
        return plain
    raise EncodeError("unsupported type", detail="a value of the state of a session must be JSON")


def plain_event(event: Event) -> dict[str, Any]:
    """An event as ADK's own services store it."""
    return event.model_dump(mode="json", exclude_none=True)


def time_of(timestamp: float) -> datetime:
    """The aware datetime of seconds since 1970."""
    return datetime.fromtimestamp(timestamp, UTC)


def metadata_of(place: Place, state: Mapping[str, Any], changes: SharedChanges) -> dict[str, Any]:
    """The metadata of a new record: what is written in the very commit that makes it."""
    shared = {scope: change.to_value() for scope, change in changes.items()}
    return {METADATA: {**place._asdict(), "state": dict(state), "shared": shared}}


def place_of(record: Session) -> Place | None:
    """Which session a record is; None if it is none of ADK's."""
    mine = record.metadata.get(METADATA)
    return Place(mine["app"], mine["user"], mine["id"]) if mine else None


def changes_of(snapshot: Snapshot) -> SharedChanges:
    """The latest changes of what sessions share by this one."""
    at_first = snapshot.session.metadata.get(METADATA, {}).get("shared", {})
    found: dict[Scope, Any] = {
        scope: snapshot.state.get(SHARED[scope], at_first.get(scope)) for scope in SCOPES
    }
    return {scope: SharedChange.from_value(value) for scope, value in found.items() if value is not None}


def updated(snapshot: Snapshot) -> float:
    """When a session was last changed, in seconds since 1970: exactly its last event's timestamp."""
    time: float = snapshot.state.get(UPDATED, snapshot.session.created_at.timestamp())
    return time


def event_of(entry: Entry) -> Event:
    """The event that an entry holds."""
    return Event.model_validate(dict(entry.value))


def events_of(snapshot: Snapshot) -> list[Event]:
    """The events that were read."""
    return [event_of(entry) for entry in snapshot.logs.get(MESSAGES, ()) if not entry.redacted]


def session_of(
    place: Place,
    snapshot: Snapshot,
    shared: Mapping[Scope, Mapping[str, Any]],
    events: list[Event] | None = None,
) -> AdkSession:
    """A session of ADK with all its state merged, and the events that were read unless others are given."""
    state = dict(snapshot.session.metadata.get(METADATA, {}).get("state", {}))
    state |= values_by_key(snapshot.state)
    state |= {State.APP_PREFIX + key: value for key, value in shared["app"].items()}
    state |= {State.USER_PREFIX + key: value for key, value in shared["user"].items()}
    session = AdkSession(
        app_name=place.app,
        user_id=place.user,
        id=place.id,
        state=state,
        last_update_time=updated(snapshot),
    )
    # Not by the constructor, which would look at each once more.
    session.events = events_of(snapshot) if events is None else events
    return session
