"""Which sessions changed lately, as a small document."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import msgpack  # type: ignore[import-untyped]

from miniagent_store.backend import Change

KEPT_CHANGES = 1_000
# Written only while someone asks; who asks says so again after so long, and is forgotten after so long.
ASK_AGAIN_MS, FORGET_MS = 60_000, 600_000


@dataclass(slots=True)
class ChangeLog:
    """The latest change of each session that changed, by a number that rises.

    Attributes:
        id: random; a cursor of another log says nothing about this one.
        asked_ms: when someone last asked for changes.
        number: of the latest change.
        dropped: the highest number that is no longer remembered.
    """

    id: str = field(default_factory=lambda: os.urandom(6).hex())
    asked_ms: int = 0
    number: int = 0
    dropped: int = 0
    changes: dict[str, tuple[int, Change]] = field(default_factory=dict)

    @classmethod
    def decode(cls, data: bytes | None) -> ChangeLog | None:
        """The log that `encode` wrote; None if there are no bytes."""
        if data is None:
            return None
        name, asked_ms, number, dropped, changes = msgpack.unpackb(data, use_list=False)
        kept = {each[0]: (at, Change(*each)) for at, each in changes}
        return cls(name, asked_ms, number, dropped, kept)

    def encode(self) -> bytes:
        """Its bytes."""
        changes = [
            (at, (each.session_id, each.kind, each.user_id, each.version, each.deleted))
            for at, each in self.changes.values()
        ]
        return bytes(msgpack.packb((self.id, self.asked_ms, self.number, self.dropped, changes)))

    @classmethod
    def asked(cls, before: bytes | None, now_ms: int) -> tuple[bytes, ChangeLog]:
        """Begin a log, or note that someone still asks."""
        log = cls.decode(before) or cls()
        log.asked_ms = now_ms
        return log.encode(), log

    @classmethod
    def noted(cls, before: bytes | None, change: Change) -> tuple[bytes | None, None]:
        """Add a change, if there is a log."""
        log = cls.decode(before)
        if log is None:
            return before, None
        log.number += 1
        log.changes.pop(change.session_id, None)
        log.changes[change.session_id] = (log.number, change)
        if len(log.changes) > KEPT_CHANGES:
            oldest = next(iter(log.changes))
            log.dropped = log.changes.pop(oldest)[0]
        return log.encode(), None

    def is_stale(self, now_ms: int) -> bool:
        """Whether it should be noted again that someone asks."""
        return now_ms > self.asked_ms + ASK_AGAIN_MS

    def is_forgotten(self, now_ms: int) -> bool:
        """Whether nobody has asked for long."""
        return now_ms > self.asked_ms + FORGET_MS

    @property
    def cursor(self) -> str:
        """The cursor of now."""
        return f"{self.id}:{self.number}"

    def after(self, cursor: str, limit: int) -> tuple[list[Change], str] | None:
        """Changes after a cursor and the cursor after them; None if that can no longer be told."""
        log, _, number = cursor.partition(":")
        if log != self.id or int(number) < self.dropped:
            return None
        found = [pair for pair in self.changes.values() if pair[0] > int(number)][:limit]
        return [change for _, change in found], f"{self.id}:{found[-1][0]}" if found else cursor
