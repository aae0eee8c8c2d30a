"""A conversation in memory that knows what of it is stored."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, Self

from miniagent_store.agent.events import Event
from miniagent_store.agent.messages import as_event, as_message, llm_dict, text_of, visible
from miniagent_store.agent.thread_changes import METADATA_PREFIX, ThreadChanges
from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import EVENTS, MESSAGES, BatchResult, Entry, Position, Snapshot


class HasStore(Protocol):
    """A `SessionAgent`, a `RedisSessionManager`, or whoever else works on a store."""

    @property
    def store(self) -> Any: ...


def store_of(owner: SessionStore | HasStore) -> SessionStore:
    """The store itself, or the one of a manager.

    Raises:
        InvalidArgumentError: there is none.
    """
    store = owner if isinstance(owner, SessionStore) else getattr(owner, "store", None)
    if not isinstance(store, SessionStore):
        raise InvalidArgumentError(
            f"{type(owner).__name__} has no open store; pass a SessionStore, a SessionAgent, "
            "or a connected RedisSessionManager"
        )
    return store


@dataclass(slots=True)
class _Stored:
    """What a thread knows to be stored: the very objects in its lists, so that new ones are told apart."""

    messages: list[Any] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    position: Position | None = None


class SessionThread:
    """Messages, events and metadata of one session; reads on demand, saves only what changed.

    Made without I/O: `add_message` and `save` append to what is stored without reading it, and make the
    session if it never was there. `load`, or `refresh`, reads it.

    Args:
        session_id: the session.
        manager: a `SessionStore`, or what has one as `store`: a `SessionAgent`, a `RedisSessionManager`.

    Attributes:
        id, session_id: the session.
        messages: as `Message` values; append with `add_message`. Removing from it, or putting something
            else in a place, is saved as a change of the history.
        events: with `type`, `data` and `timestamp`. What is removed here stays stored: the log of events
            is a record of what happened.
        metadata: a dict of the thread with texts as keys, apart from the session's own metadata.
        created_at: of the session, once read.
    """

    id: str
    session_id: str

    def __init__(self, session_id: str, manager: SessionStore | HasStore) -> None:
        self.id = self.session_id = session_id
        self.store: SessionStore = store_of(manager)
        self.messages: list[Any] = []
        self.events: list[Any] = []
        self.metadata: dict[str, Any] = {}
        self.created_at: datetime = datetime.now(UTC)
        self._stored = _Stored()

    @classmethod
    async def load(cls, session_id: str, manager: SessionStore | HasStore) -> Self | None:
        """The thread of a session as it is stored; None if there is no such session."""
        thread = cls(session_id, manager)
        try:
            await thread.refresh()
        except SessionNotFoundError:
            return None
        return thread

    # In memory

    def add_message(self, message: Any) -> Self:
        """Add a `Message`, a mapping, or an object with role and content; returns the thread."""
        self.messages.append(as_message(message))
        return self

    def add_event(self, event: Any) -> Self:
        """Add a mapping, or an object with `type` and `data`; returns the thread."""
        as_event(event)  # refuses what could not be saved, here where it came from
        self.events.append(event)
        return self

    def get_messages_for_llm(self) -> list[dict[str, Any]]:
        """The messages as chat APIs take them, without tombstones and what is marked "internal"."""
        shown = visible(map(as_message, self.messages))
        return [llm_dict(message) for message in shown if not message.metadata.get("internal")]

    def get_last_user_message(self) -> str | None:
        """The text of the last message of the user."""
        for message in map(as_message, reversed(self.messages)):
            if message.role == "user":
                return text_of(message.content)
        return None

    def set_context(self, key: str, value: Any) -> None:
        """Set a value of `metadata`."""
        self.metadata[key] = value

    def get_context(self, key: str, default: Any = None) -> Any:
        """A value of `metadata`."""
        return self.metadata.get(key, default)

    def summarize_events(self, max_events: int = 10) -> None:
        """Keep only the last events in memory, and those that are not saved yet."""
        unsaved = {id(event) for event in self.changes().events}
        first_kept = max(len(self.events) - max_events, 0)
        self.events = [
            event for at, event in enumerate(self.events) if at >= first_kept or id(event) in unsaved
        ]

    # What changed

    def changes(self) -> ThreadChanges:
        """What was added since it was read or saved."""
        stored = self._stored
        return ThreadChanges.between(
            self.messages,
            self.events,
            self.metadata,
            old_messages=stored.messages,
            old_events=stored.events,
            old_metadata=stored.metadata,
        )

    @property
    def is_changed(self) -> bool:
        """Whether there is something to save."""
        return bool(self.changes()) or self._kept() < len(self._stored.messages)

    def _kept(self) -> int:
        """How many of the stored messages still stand, in their order, at the head of `messages`."""
        kept = 0
        for message, stored in zip(self.messages, self._stored.messages, strict=False):
            if message is not stored:
                break
            kept += 1
        return kept

    # Store

    async def save(self) -> bool:
        """Store what changed, in one commit.

        What was added never conflicts with what others added meanwhile: both are kept, and theirs is read
        in. Where stored messages were removed or replaced here, that is done only if nobody has added to
        the history since it was read.

        Returns:
            Whether it is stored. False: the session was there, and is gone; it is not made again.

        Raises:
            VersionConflictError: stored messages were changed here, and others have added to them;
                `refresh` and change them again.
        """
        stored, kept, changes = self._stored, self._kept(), self.changes()
        edited = kept < len(stored.messages)
        if not changes and not edited:
            return True
        batch = self.store.batch(self.session_id, create=stored.position is None)
        before = stored.position.seq() if stored.position is not None else None
        if edited:
            before = stored.sequences[kept] - 1
            batch.replace((), from_seq=before + 1, expected_tail=stored.position)
            changes.messages = [as_message(message) for message in self.messages[kept:]]
        changes.write(batch)
        saved = _Stored(list(self.messages), [], list(self.events), copy.deepcopy(self.metadata))
        try:
            result = await batch.commit("save")
        except SessionNotFoundError:
            return False
        saved.position = result.position
        saved.sequences = [*stored.sequences[:kept], *result.sequences[: len(changes.messages)]]
        self._stored = saved
        if before is None or not _alone(stored, result, before + len(changes.messages), edited):
            # Others have written too, or nothing was read before: the order of all is in the store.
            await self.refresh()
        return True

    async def refresh(self, *, last: int | None = None) -> Self:
        """Read what is stored; what was added here and not saved yet stays, behind it.

        Args:
            last: only the last so many messages and events.

        Raises:
            SessionNotFoundError: there is no such session.
        """
        self.take(
            await self.store.snapshot(
                self.session_id, last=last, logs=(MESSAGES, EVENTS), state=METADATA_PREFIX
            )
        )
        return self

    def take(self, snapshot: Snapshot) -> None:
        """Become what a snapshot holds, and what was added here and not saved yet."""
        unsaved = self.changes()
        entries = snapshot.logs.get(MESSAGES, ())
        self.created_at = snapshot.session.created_at
        self.messages = [entry.message for entry in entries]
        self.events = [_event(entry) for entry in snapshot.logs.get(EVENTS, ())]
        self.metadata = {
            name.removeprefix(METADATA_PREFIX): value for name, value in snapshot.state.items()
        }
        self._stored = _Stored(
            list(self.messages),
            [entry.seq for entry in entries],
            list(self.events),
            copy.deepcopy(self.metadata),
            snapshot.position,
        )
        self.messages += unsaved.messages
        self.events += unsaved.events
        self.metadata.update(unsaved.metadata)
        for key in unsaved.removed:
            self.metadata.pop(key, None)

    def committed(self, changes: ThreadChanges, result: BatchResult) -> None:
        """Take in what another hand has committed behind what was read here."""
        stored, added = self._stored, len(changes.messages)
        expected = added + (stored.position.seq() if stored.position is not None else 0)
        self.messages += changes.messages
        self.events += changes.events
        self.metadata.update(changes.metadata)
        for key in changes.removed:
            self.metadata.pop(key, None)
        self._stored = _Stored(
            [*stored.messages, *changes.messages],
            [*stored.sequences, *result.sequences[:added]],
            [*stored.events, *changes.events],
            copy.deepcopy(self.metadata),
            # Where others have written in between, the old position stays, so that a change of the
            # history from here is refused before it takes away what was never seen.
            result.position if _alone(stored, result, expected, edited=False) else stored.position,
        )


def _alone(stored: _Stored, result: BatchResult, expected_seq: int, edited: bool) -> bool:
    """Whether the commit is all that happened to the messages since they were read."""
    before, after = stored.position, result.position
    return before is not None and (before.incarnation, before.epoch + edited, expected_seq) == (
        after.incarnation,
        after.epoch,
        after.seq(),
    )


def _event(entry: Entry) -> Any:
    value = entry.value
    if not isinstance(value.get("type"), str):
        return dict(value)
    metadata = value.get("metadata")
    return Event(
        value["type"], value.get("data"), metadata if isinstance(metadata, dict) else {}, entry.time
    )
