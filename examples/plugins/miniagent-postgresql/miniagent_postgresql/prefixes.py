"""Ranges of names by prefix, in the order of their bytes, as an index can walk them."""

from __future__ import annotations

HIGHEST = 0x10FFFF
SURROGATES = range(0xD800, 0xE000)


def name_range(
    column: str, prefix: str, start: str | None = None, reverse: bool = False
) -> tuple[str, tuple[str, ...]]:
    """A condition (to follow others) and its values: names with `prefix`, from `start` on.

    Args:
        start: the first name; with `reverse` the highest.
    """
    conditions, values = list[str](), list[str]()
    if prefix:
        conditions.append(f"AND {column} >= %s")
        values.append(prefix)
        if (end := after_prefix(prefix)) is not None:
            conditions.append(f"AND {column} < %s")
            values.append(end)
    if start is not None:
        conditions.append(f"AND {column} {'<=' if reverse else '>='} %s")
        values.append(start)
    return " ".join(conditions), tuple(values)


def after_prefix(prefix: str) -> str | None:
    """The lowest text above all that start with `prefix`; None if there is none."""
    for end in range(len(prefix), 0, -1):
        code = ord(prefix[end - 1]) + 1
        if code in SURROGATES:
            code = SURROGATES.stop
        if code <= HIGHEST:
            return prefix[: end - 1] + chr(code)
    return None
