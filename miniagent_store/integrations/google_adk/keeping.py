"""Events that were loaded before, so that a session is not read and built anew with every turn."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from miniagent_store.integrations.google_adk.loading import event_of
from miniagent_store.integrations.google_adk.names import Place
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


class KeptEvents:
    """The events of the sessions that were loaded last; from any thread.

    Args:
        sessions: of so many; 0 for none.
    """

    def __init__(self, sessions: int) -> None:
        self._limit = sessions
        self._lock = threading.Lock()
        self._kept: OrderedDict[Place, Kept] = OrderedDict()

    @property
    def limit(self) -> int:
        """Of how many sessions."""
        return self._limit

    def get(self, place: Place) -> Kept | None:
        """What is kept of a session."""
        with self._lock:
            return self._kept.get(place)

    def put(self, place: Place, kept: Kept) -> None:
        """Keep it, in the place of what was not loaded for longest."""
        with self._lock:
            self._kept[place] = kept
            self._kept.move_to_end(place)
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)

    def drop(self, place: Place) -> None:
        """Keep nothing of a session that is gone."""
        with self._lock:
            self._kept.pop(place, None)
