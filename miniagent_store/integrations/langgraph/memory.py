"""What a saver remembers of threads: values of channels, which never change, and where threads stood."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from miniagent_store.integrations.langgraph import names
from miniagent_store.integrations.langgraph.blobs import Blob, KnownList, Part, Typed
from miniagent_store.integrations.langgraph.names import REMOVALS, Version
from miniagent_store.values import Position

MAX_CHECKPOINTS = 4_000


@dataclass(frozen=True, slots=True)
class Life:
    """A thread between two removals of any of its parts; what was stored in it stands while it lasts."""

    incarnation: str
    epoch: int
    removals: int

    @classmethod
    def at(cls, position: Position) -> Life:
        return cls(position.incarnation, position.epoch, position.seq(REMOVALS))


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint that is known to be stored.

    Attributes:
        position: of the thread, when it was.
        versions: of its channels.
        parts: of each list among them, the versions it is written in.
    """

    position: Position
    versions: Mapping[str, Version]
    parts: Mapping[str, list[Version]]


class Memory:
    """The values of channels that were read or written last, up to some bytes. Any thread may use it.

    Args:
        max_bytes: of the values.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._lock = threading.Lock()
        self._lives: OrderedDict[str, Life] = OrderedDict()
        self._seen: OrderedDict[tuple[str, str, str], Seen] = OrderedDict()
        self._blobs: OrderedDict[tuple[str, Life, str], Blob] = OrderedDict()

    def life(self, session_id: str) -> Life | None:
        """In which life a thread was when it was last seen."""
        with self._lock:
            return self._lives.get(session_id)

    def seen(self, session_id: str, namespace: str, checkpoint_id: str | None) -> Seen | None:
        with self._lock:
            return self._seen.get((session_id, namespace, checkpoint_id or ""))

    def blobs(self, session_id: str, life: Life | None, names: Iterable[str]) -> dict[str, Blob]:
        """Those of the values with `names` that are known."""
        if life is None:
            return {}
        found: dict[str, Blob] = {}
        with self._lock:
            for name in names:
                blob = self._blobs.get((session_id, life, name))
                if blob is not None:
                    self._blobs.move_to_end((session_id, life, name))
                    found[name] = blob
        return found

    def note(
        self, session_id: str, namespace: str, checkpoint_id: str, seen: Seen, blobs: Mapping[str, Blob]
    ) -> None:
        """Remember a checkpoint, and values by name."""
        life = Life.at(seen.position)
        with self._lock:
            _put(self._lives, session_id, life)
            _put(self._seen, (session_id, namespace, checkpoint_id), seen)
            for kept in (self._lives, self._seen):
                while len(kept) > MAX_CHECKPOINTS:
                    kept.popitem(last=False)
            for name, blob in blobs.items():
                key = (session_id, life, name)
                before = self._blobs.pop(key, None)
                self._bytes += blob.size - (before.size if before else 0)
                self._blobs[key] = blob
            while self._bytes > self._max_bytes and self._blobs:
                self._bytes -= self._blobs.popitem(last=False)[1].size

    def forget(self, session_id: str) -> None:
        """Forget a thread."""
        with self._lock:
            self._lives.pop(session_id, None)
            for key in [key for key in self._seen if key[0] == session_id]:
                del self._seen[key]
            for name in [name for name in self._blobs if name[0] == session_id]:
                self._bytes -= self._blobs.pop(name).size


def known_list(
    blobs: Mapping[str, Blob], namespace: str, channel: str, version: Version
) -> KnownList | None:
    """The list that a channel had at a version; None: it is no list, or `blobs` lacks a part of it."""
    last = blobs.get(names.blob(namespace, channel, version))
    if not isinstance(last, Part):
        return None
    parts: list[tuple[Version, tuple[Typed, ...]]] = []
    for earlier, count in last.before:
        part = blobs.get(names.blob(namespace, channel, earlier))
        if not isinstance(part, Part) or len(part.items) < count:
            return None
        parts.append((earlier, part.items[:count]))
    return KnownList((*parts, (version, last.items)))


def _put(kept: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    kept[key] = value
    kept.move_to_end(key)
