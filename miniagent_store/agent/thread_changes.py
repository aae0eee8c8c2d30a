"""What a turn, or a thread, adds to a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from miniagent_store.agent.messages import as_event, as_message, aware
from miniagent_store.store.batch import Batch
from miniagent_store.values import EVENTS, Message

# A thread's metadata is kept a state value a key, so that two writers of different keys both keep theirs.
METADATA_PREFIX = "thread.metadata/"


@dataclass(slots=True)
class ThreadChanges:
    """Collected in memory, written by one commit.

    Attributes:
        messages: to append, in order.
        events: to append to the log "events".
        metadata: of the thread: keys to set.
        removed: of the thread's metadata: keys to delete.
    """

    messages: list[Message] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    removed: Sequence[str] = ()

    @classmethod
    def between(
        cls,
        messages: Sequence[Any],
        events: Sequence[Any],
        metadata: Mapping[str, Any],
        *,
        old_messages: Sequence[Any],
        old_events: Sequence[Any],
        old_metadata: Mapping[str, Any],
    ) -> ThreadChanges:
        """What is new. Messages and events are told apart by identity: two equal ones are two."""
        return cls(
            list(map(as_message, _added(messages, old_messages))),
            _added(events, old_events),
            {
                key: value
                for key, value in metadata.items()
                if key not in old_metadata or old_metadata[key] != value
            },
            [key for key in old_metadata if key not in metadata],
        )

    def __bool__(self) -> bool:
        return bool(self.messages or self.events or self.metadata or self.removed)

    def write(self, batch: Batch) -> None:
        """Add all this to a commit: the messages first, each with its own time if it has one."""
        for message in self.messages:
            batch.append(message, time=aware(message.time))
        for event in self.events:
            value, time = as_event(event)
            batch.append(value, log=EVENTS, time=time)
        for key, value in self.metadata.items():
            batch.state.set(METADATA_PREFIX + key, value)
        for key in self.removed:
            batch.state.delete(METADATA_PREFIX + key)


def _added(now: Sequence[Any], before: Sequence[Any]) -> list[Any]:
    known = set(map(id, before))
    return [each for each in now if id(each) not in known]
