"""How far new vectors of a scope are, as its record says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from miniagent_store.store.memory import layout
from miniagent_store.store.memory.generations import Model
from miniagent_store.values import StateItem


@dataclass(frozen=True, slots=True)
class Marker:
    """How far it is.

    Attributes:
        model: whose vectors are made.
        after: memories up to this id have one, but for those that changed after `upto`.
        upto: a change, by its sequence.
        old: the model whose vectors are to be removed; None as long as new ones are made.
    """

    model: Model
    after: str | None
    upto: int
    old: Model | None = None

    def to_dict(self) -> dict[str, Any]:
        """As its state value holds it."""
        old = None if self.old is None else self.old.to_dict()
        return {"model": self.model.to_dict(), "after": self.after, "upto": self.upto, "old": old}

    @classmethod
    def in_items(cls, items: Sequence[StateItem]) -> tuple[Self | None, int]:
        """Of state values that were read, with its version."""
        for each in items:
            if each.name == layout.REINDEX:
                plain = each.value
                old = None if plain["old"] is None else Model.from_dict(plain["old"])
                return cls(
                    Model.from_dict(plain["model"]), plain["after"], plain["upto"], old
                ), each.version
        return None, 0


def same_work(there: Marker | None, marker: Marker) -> bool:
    """Whether one that stands is one that was read, but for how far the memories were walked past."""
    return there is not None and replace(there, after=None) == replace(marker, after=None)
