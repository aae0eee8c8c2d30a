"""What is appended: turns of two messages of 400 B."""

from __future__ import annotations

from random import Random
from typing import Any

TEXT_BYTES = 370
_WORDS = ("the", "agent", "answers", "with", "a", "tool", "call", "and", "then", "asks", "its", "user")


def words(size: int, seed: int = 1) -> str:
    """A text of `size` bytes in which compression finds about as much as in others."""
    return " ".join(Random(seed).choices(_WORDS, k=size))[:size]


QUESTION: dict[str, Any] = {"role": "user", "content": words(TEXT_BYTES, 1)}
ANSWER: dict[str, Any] = {"role": "assistant", "content": words(TEXT_BYTES, 2)}
TURN = (QUESTION, ANSWER)
