"""How a scope lies in its record."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from miniagent_store.ids import check_id, check_name, join_id
from miniagent_store.values import Memory, MemorySource, StateItem, from_ms, to_ms

KIND = "memory"
CHANGES = "changes"
# Whose vectors are in use, and how far those of the next model are.
MODEL, REINDEX = "model", "reindex"
# Longer ones would not fit into the name of a state value with what stands before them.
MAX_ID_BYTES = 512
# Until when what was said is forgotten for good, milliseconds since 1970.
FORGOTTEN = "forgotten"
_TEXTS, _SOURCES, _FOLLOWED = "m/", "s/", "u/"
# Of two generations in turn: so whoever deletes a memory removes both, without asking which there are.
_VECTORS = ("v/", "w/")
# What all state values of memories start with, texts first: without one nothing is found of a memory.
OF_MEMORIES = (_TEXTS, _SOURCES, *_VECTORS)


def record_of(scope: str) -> str:
    """The record of a scope."""
    return join_id(KIND, check_id(scope, what="scope"))


def scope_of(record_id: str) -> str:
    """The scope of a record."""
    return unquote(record_id.removeprefix(f"{KIND}/"))


def check_memory_id(memory_id: str) -> str:
    """Return `memory_id` if it may be one: printable text."""
    return check_name(memory_id, what="memory id", limit=MAX_ID_BYTES)


def text_name(memory_id: str = "") -> str:
    """The state value that holds a text; without an id, what all of those start with."""
    return _TEXTS + memory_id


def vector_name(memory_id: str = "", generation: int = 0) -> str:
    """The state value that holds a vector; without an id, what all of a generation start with."""
    return _VECTORS[generation % 2] + memory_id


def vector_names(memory_id: str) -> tuple[str, ...]:
    """The state values that may hold a vector, of whichever generation."""
    return tuple(each + memory_id for each in _VECTORS)


def source_name(session_id: str, memory_id: str = "") -> str:
    """The state value that says that a memory is of a session; without an id, what all of those start with.

    Of the session's id stands a hash: two ids do not fit into one name.
    """
    return f"{_SOURCES}{hashed(session_id)}/{memory_id}"


def id_of_source(name: str) -> str:
    """The memory's id in a name of `source_name`."""
    return name.split("/", 2)[2]


def followed_name(session_id: str) -> str:
    """The state value that says how far a session was followed."""
    return _FOLLOWED + hashed(session_id)


def id_of_entry(session_id: str, entry_id: str) -> str:
    """The id of the memory of a message: the same whoever remembers it, and how often."""
    return f"{hashed(session_id)}-{entry_id}"


def hashed(session_id: str) -> str:
    """What stands for a session's id in names."""
    return hashlib.sha256(session_id.encode()).hexdigest()[:32]


def id_of(name: str) -> str:
    """The id in a name."""
    return name[len(_TEXTS) :]


@dataclass(frozen=True, slots=True)
class NewMemory:
    """What is to be remembered, checked.

    Attributes:
        id: the memory's.
        text: what it says.
        metadata: plain values.
        source: where it was said.
        time: when.
        ttl_ms: None for never.
        forget_on_expiry: whether it goes when the session of its source has expired.
    """

    id: str
    text: str
    metadata: Mapping[str, Any]
    source: MemorySource | None
    time: datetime
    ttl_ms: int | None
    forget_on_expiry: bool = False

    def value(self) -> dict[str, Any]:
        """As its state value holds it."""
        return {
            "text": self.text,
            "metadata": dict(self.metadata),
            "source": None if self.source is None else self.source.to_dict(),
            "time": to_ms(self.time),
            "forget_on_expiry": self.forget_on_expiry,
        }


def memory_of(item: StateItem, score: float | None = None) -> Memory:
    """A memory, of its state value."""
    value = item.value
    return Memory(
        id=id_of(item.name),
        text=value["text"],
        metadata=value["metadata"],
        source=None if value["source"] is None else MemorySource.from_dict(value["source"]),
        time=from_ms(value["time"]),
        expires_at=item.expires_at,
        forget_on_expiry=value["forget_on_expiry"],
        score=score,
    )


def packed(vector: Sequence[float]) -> bytes:
    """A vector of length 1, as float32; all zero for one without a direction."""
    numbers = array("d", vector)
    length = math.hypot(*numbers)
    return array("f", [each / length for each in numbers] if length else numbers).tobytes()
