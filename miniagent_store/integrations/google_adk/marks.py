"""What a `Session` object remembers of the store: how it is known to be stale."""

from __future__ import annotations

import json
from dataclasses import dataclass

from miniagent_store.integrations.google_adk.loading import changes_of
from miniagent_store.integrations.google_adk.names import Scope
from miniagent_store.integrations.google_adk.shared import SharedChanges
from miniagent_store.values import Position, Snapshot


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a session stood when it was loaded or last appended to.

    Attributes:
        position: of its record.
        shared: its latest events that changed what sessions share.
    """

    position: Position
    shared: dict[Scope, str]

    @classmethod
    def of(cls, snapshot: Snapshot) -> Mark:
        """The mark of what was just read."""
        return cls(snapshot.position, {}).after(snapshot.position, changes_of(snapshot))

    def after(self, position: Position, changes: SharedChanges) -> Mark:
        """The mark after a commit."""
        latest: dict[Scope, str] = {scope: change.event_id for scope, change in changes.items()}
        return Mark(position, self.shared | latest)

    @classmethod
    def parse(cls, text: str | None) -> Mark | None:
        """The mark that `str()` wrote; None for none."""
        if text is None:
            return None
        position, shared = json.loads(text)
        return cls(Position.parse(position), shared)

    def __str__(self) -> str:
        return json.dumps([str(self.position), self.shared], sort_keys=True)
