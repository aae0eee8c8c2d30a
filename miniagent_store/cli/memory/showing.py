"""Memories as people and programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from miniagent_store.cli.output import age, show_table

if TYPE_CHECKING:
    from miniagent_store.values import Memory

# Characters of a text in a table.
SHOWN = 100


def plain_memory(memory: Memory) -> dict[str, Any]:
    """As --json has it."""
    return {
        "id": memory.id,
        "text": memory.text,
        "score": memory.score,
        "metadata": dict(memory.metadata),
        "source": None if memory.source is None else memory.source.to_dict(),
        "time": memory.time,
        "expires_at": memory.expires_at,
    }


def show_memories(memories: Sequence[Memory], *, scored: bool = False) -> None:
    """Print a table, with scores where something was searched."""
    columns = ["id", "said", "expires", "text"]
    rows = [
        [each.id, age(each.time), age(each.expires_at), f"{each.text[:SHOWN]}{_cut(each.text)}"]
        for each in memories
    ]
    if scored:
        columns = ["score", *columns]
        rows = [[f"{each.score or 0:.3f}", *row] for each, row in zip(memories, rows, strict=True)]
    show_table(columns, rows, right=("score",), keep=("score", "id", "said", "expires"))


def _cut(text: str) -> str:
    return "…" if len(text) > SHOWN else ""
