"""What an index of words does, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class IndexedText:
    """One memory, as an index of words is given it.

    Attributes:
        id: of the memory; an index has each once.
        text: what it says.
        metadata: what filters look at.
        time_ms: when it was, milliseconds since 1970.
        expires_ms: from when on it is not found any more; None for never.
    """

    id: str
    text: str
    metadata: Mapping[str, Any]
    time_ms: int
    expires_ms: int | None = None


class WordIndex(Protocol):
    """The words of one scope, in this process. It blocks, and is asked by one thread at a time."""

    def apply(self, added: Sequence[IndexedText], removed: Sequence[str]) -> None:
        """Take changes.

        Args:
            added: new, or in the place of those with their ids.
            removed: ids that are no more; some may never have been here.
        """
        ...

    def search(
        self, words: Sequence[str], k: int, allowed: Callable[[IndexedText], bool]
    ) -> list[tuple[str, float]]:
        """Ids and scores (BM25), the best first; equals in the order of their ids.

        Args:
            words: as `tokens` makes them; a text with any of them is found.
            k: at most so many.
            allowed: which of them may be found.
        """
        ...

    def __len__(self) -> int:
        """How many texts there are."""
        ...

    def close(self) -> None:
        """Let go of all of them."""
        ...
