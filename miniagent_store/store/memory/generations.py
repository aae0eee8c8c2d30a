"""Vectors of one model after another: the generations of a scope.

The state value "model" says which generation is in use. Vectors of the next one are made beside them, under
other names, until one commit says that they are in use. Each vector says of which generation and of which
text it is, so that none is ever taken for another's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from miniagent_store.store.memory import layout
from miniagent_store.values import StateItem, to_ms
from miniagent_store.vector_index import IndexedVector

# What stands before the numbers: the generation, and what stands for the text.
_GENERATION_BYTES, _DIGEST_BYTES = 4, 8
STAMP_BYTES: int = _GENERATION_BYTES + _DIGEST_BYTES


@dataclass(frozen=True, slots=True)
class Model:
    """Whose vectors stand in a scope.

    Attributes:
        name: of the embedder.
        dimensions: of each vector.
        generation: rises each time that vectors are made anew.
    """

    name: str
    dimensions: int
    generation: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As its state value holds it."""
        return {"name": self.name, "dimensions": self.dimensions, "generation": self.generation}

    @classmethod
    def from_dict(cls, plain: Any) -> Self:
        """Of what `to_dict` made."""
        return cls(plain["name"], plain["dimensions"], plain["generation"])

    def is_of(self, name: str, dimensions: int | None) -> bool:
        """Whether it is this embedder's; None for any dimensions."""
        return self.name == name and dimensions in (None, self.dimensions)

    @property
    def place(self) -> str:
        """For `IndexPlace.model`: of two generations, different."""
        return f"{self.name}#{self.generation}" if self.generation else self.name

    def names(self, ids: Sequence[str]) -> list[str]:
        """The state values of memories, and the one that tells whether this is in use."""
        names = [name for each in ids for name in (layout.text_name(each), self.vector_name(each))]
        return [*names, layout.MODEL]

    def vector_name(self, memory_id: str = "") -> str:
        """The state value of a vector; without an id, what those of the generation start with."""
        return layout.vector_name(memory_id, self.generation)

    def other_vector_name(self, memory_id: str = "") -> str:
        """The state value of a vector of the generation before or after."""
        return layout.vector_name(memory_id, self.generation + 1)

    def stamped(self, vector: bytes, text: str) -> bytes:
        """A vector as its state value holds it."""
        return self._stamp(text) + vector

    def is_fresh(self, value: bytes, text: str) -> bool:
        """Whether a state value holds the vector of a text."""
        return value.startswith(self._stamp(text))

    def is_ours(self, value: bytes) -> bool:
        """Whether a state value holds a vector of this generation."""
        return value.startswith(self._number)

    def _stamp(self, text: str) -> bytes:
        # A text of foreign data may hold a lone surrogate.
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
        return self._number + digest[:_DIGEST_BYTES]

    @property
    def _number(self) -> bytes:
        return self.generation.to_bytes(_GENERATION_BYTES, "little")

    def vectors(self, items: Iterable[StateItem]) -> tuple[list[IndexedVector], list[str]]:
        """What an index is given of state values, and the ids of memories that lack a vector."""
        by_name = {each.name: each for each in items}
        made, lacking = [], []
        for name, item in by_name.items():
            id = layout.id_of(name)
            if name != layout.text_name(id):
                continue
            value, vector = item.value, by_name.get(self.vector_name(id))
            if vector is None or not self.is_fresh(vector.value, value["text"]):
                lacking.append(id)
                continue
            expires = None if item.expires_at is None else to_ms(item.expires_at)
            made.append(IndexedVector(id, bare(vector.value), value["metadata"], value["time"], expires))
        return made, lacking


def bare(value: bytes) -> bytes:
    """The vector in a state value."""
    return value[STAMP_BYTES:]


def model_in(items: Iterable[StateItem]) -> Model | None:
    """The model in use, of state values that were read."""
    return next((Model.from_dict(each.value) for each in items if each.name == layout.MODEL), None)
