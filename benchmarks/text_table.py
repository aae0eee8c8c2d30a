"""Tables as text and as Markdown; numbers stand to the right."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns that stand below each other."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    numbers = _numbers(rows, len(heads))

    def line(cells: Sequence[str]) -> str:
        columns = zip(cells, widths, numbers, strict=True)
        return "  ".join(
            cell.rjust(width) if right else cell.ljust(width) for cell, width, right in columns
        )

    return "\n".join(line(cells).rstrip() for cells in (heads, *rows))


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same for a page of documentation."""
    rule = ["---:" if right else "---" for right in _numbers(rows, len(heads))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rule, *rows))


def number(value: float, digits: int = 0) -> str:
    """A number with its thousands apart."""
    return f"{value:,.{digits}f}"


def _numbers(rows: Sequence[Sequence[str]], columns: int) -> list[bool]:
    """Which columns hold numbers."""
    return [all(row[column][:1] in "0123456789–" for row in rows) for column in range(columns)]
