"""What was read of logs, kept so that only what is newer is read again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from miniagent_store import Entry, Session, SessionNotFoundError, SessionStore
from miniagent_store.values import MESSAGES

T = TypeVar("T")
KEPT_ENTRIES = 50_000


@dataclass(frozen=True, slots=True)
class ReadLog(Generic[T]):
    """A log as it stood at one moment. Shared by all who read it: none of it may be changed.

    Attributes:
        session: the record.
        items: what stands in the log, as (sequence, value), without tombstones.
        state: the values that were asked for.
    """

    session: Session
    items: list[tuple[int, T]]
    state: dict[str, Any]


class KeptLogs(Generic[T]):
    """Reads the log "messages" of sessions; in one round trip, and of each entry once.

    May be used from any thread. What is kept stays within `KEPT_ENTRIES`: the sessions that were not read
    for longest go first. A copy starts empty.

    Args:
        decode: makes a value of an entry.
        state: names of the values to be read with the log, each time.
    """

    def __init__(self, decode: Callable[[Entry], T], *, state: Iterable[str] = ()) -> None:
        self._decode, self._state = decode, tuple(state)
        self._kept: OrderedDict[str, ReadLog[T]] = OrderedDict()
        self._entries = 0
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _emptied, (self._decode, self._state)

    async def read(self, store: SessionStore, session_id: str) -> ReadLog[T] | None:
        """The log as it is now; None if there is no such session.

        Raises:
            Exception: whatever `decode` raises; nothing is kept then.
        """
        kept = self._kept.get(session_id)
        try:
            found = await store.snapshot(
                session_id, after=kept.session.position if kept else None, state=self._state or None
            )
        except SessionNotFoundError:
            self._forget(session_id)
            return None
        old = kept.items if kept else []
        if kept and found.session.incarnation != kept.session.incarnation:
            old = []
        elif MESSAGES in found.resets:
            old = [item for item in old if item[0] < found.resets[MESSAGES]]
        entries = found.logs.get(MESSAGES, ())
        new = [(entry.seq, self._decode(entry)) for entry in entries if not entry.redacted]
        read = ReadLog(found.session, old + new if new else old, found.state)
        self._keep(session_id, read)
        return read

    def _keep(self, session_id: str, read: ReadLog[T]) -> None:
        # Of two that read at once the slower may put the older one back: it is brought up to date later.
        with self._lock:
            self._drop(session_id)
            self._kept[session_id] = read
            self._entries += len(read.items)
            while self._entries > KEPT_ENTRIES and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))

    def _forget(self, session_id: str) -> None:
        with self._lock:
            self._drop(session_id)

    def _drop(self, session_id: str) -> None:
        dropped = self._kept.pop(session_id, None)
        self._entries -= len(dropped.items) if dropped else 0


def _emptied(decode: Callable[[Entry], T], state: tuple[str, ...]) -> KeptLogs[T]:
    return KeptLogs(decode, state=state)
