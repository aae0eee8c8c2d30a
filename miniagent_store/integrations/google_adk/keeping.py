"""Events that were loaded before, so that a session is not read and built anew with every turn."""

from __future__ import annotations

from dataclasses import dataclass

from miniagent_store.integrations.google_adk.loading import event_of
from miniagent_store.integrations.lacking import requires
from miniagent_store.values import MESSAGES, Position, Snapshot

with requires("google-adk", extra="google-adk"):
    from google.adk.events.event import Event


@dataclass(frozen=True, slots=True)
class Kept:
    """All events of a session at one position.

    Attributes:
        position: where they were read.
        seqs: their sequences, ascending.
        events: the events.
    """

    position: Position
    seqs: tuple[int, ...] = ()
    events: tuple[Event, ...] = ()

    def after(self, snapshot: Snapshot) -> Kept:
        """What is known after a snapshot that was read after `position`."""
        count = len(self.seqs)
        first_untrue = snapshot.resets.get(MESSAGES)
        if first_untrue is not None:
            count = sum(seq < first_untrue for seq in self.seqs)
        fresh = [entry for entry in snapshot.logs[MESSAGES] if not entry.redacted]
        return Kept(
            snapshot.position,
            self.seqs[:count] + tuple(entry.seq for entry in fresh),
            self.events[:count] + tuple(map(event_of, fresh)),
        )
