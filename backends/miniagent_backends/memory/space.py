"""Where the memory backend keeps what it holds."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from miniagent_backends.memory.caching import CachedValue
from miniagent_store.backend import Change, Record, Subscription, Topic
from miniagent_store.rules import LeaseRow, RateState
from miniagent_store.rules.session_document import SessionDocument


@dataclass(slots=True)
class Stage:
    """What is staged for a session, until when."""

    session: SessionDocument
    expires_ms: int


@dataclass
class MemorySpace:
    """What one name and namespace hold; shared by the stores that were opened on it."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    sessions: dict[str, SessionDocument] = field(default_factory=dict)
    turns: dict[str, LeaseRow] = field(default_factory=dict)
    locks: dict[str, LeaseRow] = field(default_factory=dict)
    stages: dict[tuple[str, str], Stage] = field(default_factory=dict)
    cache: dict[str, CachedValue] = field(default_factory=dict)
    rates: dict[str, tuple[RateState, int]] = field(default_factory=dict)
    changes: OrderedDict[str, tuple[int, Change]] = field(default_factory=OrderedDict)
    change_count: int = 0
    waiting: dict[Topic, list[tuple[asyncio.AbstractEventLoop, Subscription]]] = field(default_factory=dict)

    def counts(self) -> Counter[str]:
        """How many of what are kept, by sort; who waits is none of it."""
        held = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "waiting"}
        return Counter({name: len(each) for name, each in held.items() if isinstance(each, dict) and each})

    def empty(self) -> None:
        """Forget all that is kept. Changes are counted on, and who waits still does."""
        new = MemorySpace(lock=self.lock, change_count=self.change_count, waiting=self.waiting)
        for each in fields(self):
            setattr(self, each.name, getattr(new, each.name))

    def records(self) -> Iterator[Record]:
        """All records, expired ones too."""
        return (session.record for session in self.sessions.values() if session.record)


class MemoryPlace:
    """The spaces of one URL, by namespace; lives as long as any store that was opened on it."""

    def __init__(self) -> None:
        self.spaces: dict[str, MemorySpace] = {}

    def space(self, namespace: str) -> MemorySpace:
        """The space of a namespace."""
        return self.spaces.setdefault(namespace, MemorySpace())
