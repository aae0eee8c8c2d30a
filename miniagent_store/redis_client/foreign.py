"""Saving a thread object of MiniAgent's own make, without taking anything from others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from miniagent_store.agent.messages import as_event, as_message
from miniagent_store.agent.thread_changes import METADATA_PREFIX, ThreadChanges
from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError, VersionConflictError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import EVENTS, MESSAGES, Snapshot


async def save_foreign(store: SessionStore, thread: Any) -> None:
    """Append what a thread holds that is not stored yet; the session is made if it is missing.

    A thread that was cut at its head goes on where what it holds is found at the end of what is stored.

    Raises:
        VersionConflictError: what is stored and what the thread holds are two different conversations.
    """
    thread_id = getattr(thread, "id", None) or getattr(thread, "thread_id", None)
    if not isinstance(thread_id, str):
        raise InvalidArgumentError(f"a {type(thread).__name__} without a text as id is no thread")
    while True:
        stored = await _read(store, thread_id)
        batch = store.batch(thread_id)
        batch.expect_tail(stored.position)
        batch.expect_tail(stored.position, log=EVENTS)
        _new(thread, stored).write(batch)
        try:
            async with batch:
                return
        except (VersionConflictError, SessionNotFoundError):
            continue  # others have written in between, or deleted it: look again


async def _read(store: SessionStore, thread_id: str) -> Snapshot:
    while True:
        try:
            return await store.snapshot(thread_id, logs=(MESSAGES, EVENTS), state=METADATA_PREFIX)
        except SessionNotFoundError:
            await store.create(thread_id, exist_ok=True)


def _new(thread: Any, stored: Snapshot) -> ThreadChanges:
    messages = list(map(as_message, thread.messages))
    events = list(getattr(thread, "events", None) or ())
    metadata = dict(getattr(thread, "metadata", None) or {})
    old_messages = [entry.message for entry in stored.logs[MESSAGES]]
    known = _known(messages, old_messages)
    if messages and old_messages and not known:
        raise VersionConflictError(
            stored.session.id,
            expected=f"the {len(messages)} messages of the thread that was to be saved",
            actual=f"{len(old_messages)} others",
        )
    old_events = [dict(entry.value) for entry in stored.logs[EVENTS]]
    new_events = events[_known([as_event(each)[0] for each in events], old_events) :]
    # Keys that are missing here may be others', so none is removed.
    missing = object()
    changed = {
        key: value
        for key, value in metadata.items()
        if stored.state.get(METADATA_PREFIX + key, missing) != value
    }
    return ThreadChanges(messages[known:], new_events, changed)


def _known(mine: Sequence[Any], stored: Sequence[Any]) -> int:
    """How many of mine, from the first on, are stored."""
    if list(mine) == list(stored[: len(mine)]):
        return len(mine)
    longest = min(len(mine), len(stored))
    return next((n for n in range(longest, 0, -1) if list(stored[-n:]) == list(mine[:n])), 0)
