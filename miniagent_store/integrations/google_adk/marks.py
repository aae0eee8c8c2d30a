"""What a `Session` object remembers of the store: how it is known to be stale."""

from __future__ import annotations

from typing import NamedTuple

from miniagent_store.integrations.google_adk.loading import change_of
from miniagent_store.values import Position, Snapshot


class Mark(NamedTuple):
    """Where a session stood when it was loaded or last appended to.

    Attributes:
        position: of its record.
        shared: the latest event of it that changed what sessions share.
    """

    position: Position
    shared: str | None

    @classmethod
    def of(cls, snapshot: Snapshot) -> Mark:
        """The mark of what was just read."""
        change = change_of(snapshot)
        return cls(snapshot.position, change.event_id if change else None)

    @classmethod
    def parse(cls, text: str | None) -> Mark | None:
        """The mark that `str()` wrote; None for none."""
        if text is None:
            return None
        position, _, shared = text.partition(".")
        return cls(Position.parse(position), shared or None)

    def __str__(self) -> str:
        return f"{self.position}.{self.shared or ''}"
