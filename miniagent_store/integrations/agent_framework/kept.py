"""Histories that were read, kept, so that the next reading asks only for what is newer."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from miniagent_store.errors import SessionNotFoundError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Entry, Position


@dataclass(frozen=True, slots=True)
class _Kept:
    """A log as it stood at a position; each value as JSON, since who is given one may change it."""

    position: Position
    sequences: tuple[int, ...]
    values: tuple[str, ...]


class KeptHistories:
    """The logs that were read last. Safe in any thread.

    Args:
        size: of how many sessions; 0 keeps none.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._lock = threading.Lock()

    async def read(self, store: SessionStore, session_id: str, log: str) -> list[dict[str, Any]]:
        """The values of a log, each a dict of the caller's own; none where there is no session."""
        key = (session_id, log)
        with self._lock:
            kept = self._kept.get(key)
        after = None if kept is None else kept.position
        try:
            snapshot = await store.snapshot(session_id, logs=(log,), after=after)
        except SessionNotFoundError:
            with self._lock:
                self._kept.pop(key, None)
            return []
        read = _joined(kept, snapshot.position, snapshot.logs[log], snapshot.resets.get(log))
        if self._size:
            with self._lock:
                self._kept[key] = read
                self._kept.move_to_end(key)
                if len(self._kept) > self._size:
                    self._kept.popitem(last=False)
        values: list[dict[str, Any]] = json.loads(f"[{','.join(read.values)}]")
        return values


def _joined(kept: _Kept | None, position: Position, entries: tuple[Entry, ...], reset: int | None) -> _Kept:
    live = [entry for entry in entries if not entry.redacted]
    sequences = tuple(entry.seq for entry in live)
    values = tuple(json.dumps(dict(entry.value), separators=(",", ":")) for entry in live)
    if kept is None:
        return _Kept(position, sequences, values)
    good = len(kept.sequences)
    if reset is not None:
        good = sum(1 for seq in kept.sequences if seq < reset)
    return _Kept(position, kept.sequences[:good] + sequences, kept.values[:good] + values)
