"""Tables as text and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns that stand below each other, the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])

    return "\n".join(line(cells).rstrip() for cells in (heads, *rows))


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same for a page of documentation."""
    rule = ["---", *("---:" for _ in heads[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rule, *rows))


def number(value: float, digits: int = 0) -> str:
    """A number with its thousands apart."""
    return f"{value:,.{digits}f}"
