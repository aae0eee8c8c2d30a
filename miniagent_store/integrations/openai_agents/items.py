"""Items of the OpenAI Agents SDK as entries of a log, and back, exact to the JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from miniagent_store.errors import EncodeError
from miniagent_store.values import MESSAGES, Entry, Position, Snapshot

Item = Any
"""One item; the SDK's `TResponseInputItem`, a union of typed dicts."""


def as_json(item: Item) -> dict[str, Any]:
    """`item` as its JSON reads, which is what the SDK's own sessions give back.

    Raises:
        EncodeError: it is not a mapping, or holds something that JSON has not.
    """
    if not isinstance(item, Mapping):
        raise EncodeError("unsupported type", detail=f"an item is a mapping, not {type(item).__name__}")
    problem = ""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(item)))
    except (TypeError, ValueError, RecursionError) as error:
        problem = type(error).__name__
    else:
        return plain
    # Outside of the except: an error of json may quote what it could not write.
    raise EncodeError(
        "unsupported type",
        detail=f"an item must be JSON ({problem}); pass what model_dump(mode='json') gives",
    )


def items_of(entries: Iterable[Entry]) -> list[Item]:
    """The items of entries; what was redacted is no item any more."""
    return [dict(entry.value) for entry in entries if not entry.redacted]


@dataclass(frozen=True, slots=True)
class KnownItems:
    """All items of a session at one position: what the next reading need not read again.

    Attributes:
        position: where they were read.
        seqs: their sequences, ascending.
        texts: their JSON, so that no two callers ever share an item.
    """

    position: Position
    seqs: tuple[int, ...]
    texts: tuple[str, ...]

    @classmethod
    def read(cls, snapshot: Snapshot, before: KnownItems | None) -> KnownItems:
        """What is known after `snapshot`, which was read after `before.position`."""
        seqs: tuple[int, ...] = ()
        texts: tuple[str, ...] = ()
        if before is not None:
            kept = len(before.seqs)
            first_untrue = snapshot.resets.get(MESSAGES)
            if first_untrue is not None:
                kept = sum(seq < first_untrue for seq in before.seqs)
            seqs, texts = before.seqs[:kept], before.texts[:kept]
        fresh = [entry for entry in snapshot.logs[MESSAGES] if not entry.redacted]
        seqs += tuple(entry.seq for entry in fresh)
        texts += tuple(json.dumps(dict(entry.value)) for entry in fresh)
        return cls(snapshot.position, seqs, texts)

    def items(self) -> list[Item]:
        """The items, made anew for each call."""
        found: list[Item] = json.loads("[" + ",".join(self.texts) + "]")
        return found
