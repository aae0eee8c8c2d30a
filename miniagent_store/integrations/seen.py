"""Values of a session's state that are written only where they are still what was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from miniagent_store.errors import SessionNotFoundError, VersionConflictError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Position

if TYPE_CHECKING:
    from miniagent_store import Batch


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a value: its version, and where its session stood.

    Attributes:
        version: 0 where there was none.
        position: None where there was none.
    """

    version: int
    position: Position | None

    @classmethod
    def after(cls, batch: Batch) -> Seen:
        """What was seen of each value that a batch has set."""
        assert batch.result is not None
        session = batch.result.session
        return cls(session.version, session.position)


ABSENT = Seen(0, None)


async def read_seen(store: SessionStore, session_id: str, name: str) -> tuple[Any, Seen]:
    """A value and what was seen of it; None and `ABSENT` where it, or its session, is not there."""
    try:
        # The record first: should the session be replaced in between, a later write is refused.
        position = (await store.get(session_id)).position
        item = await store.state(session_id).item(name)
    except SessionNotFoundError:
        return None, ABSENT
    return (None, ABSENT) if item is None else (item.value, Seen(item.version, position))


async def write_seen(
    store: SessionStore,
    session_id: str,
    name: str,
    value: Any,
    seen: Seen,
    *,
    kind: str | None = None,
    more: Callable[[Batch], None] | None = None,
) -> Seen:
    """Set a value, in one commit, if it is still as it was seen.

    Args:
        store: the store.
        session_id: the session.
        name: the value's.
        value: the new value.
        seen: what was seen of it.
        kind: make the session, as one of this kind, if it is missing; by default it has to be there.
        more: further changes of the same commit.

    Raises:
        VersionConflictError: the value was changed, removed or made, or its session was made anew.
        SessionNotFoundError: there is no such session, and it is not to be made.
    """
    position = seen.position
    while True:
        batch = store.batch(session_id, create=kind is not None, kind=kind or "session")
        try:
            async with batch:
                batch.state.set(name, value, if_version=seen.version)
                if more is not None:
                    more(batch)
                if position is not None:
                    # The same versions come again in a session that was deleted and made anew.
                    batch.expect_tail(position, log=name)
            return Seen.after(batch)
        except VersionConflictError:
            now = None if position is None else await _position(store, session_id)
            if now is None or position is None:
                raise
            if now.incarnation != position.incarnation or now.epoch == position.epoch:
                raise
            # Only a log was changed, which is nothing to this value.
            position = now


async def _position(store: SessionStore, session_id: str) -> Position | None:
    try:
        return (await store.get(session_id)).position
    except SessionNotFoundError:
        return None
