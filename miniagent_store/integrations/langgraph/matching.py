"""Which items a search of LangGraph's store finds, and which namespaces a listing shows."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from miniagent_store.integrations.lacking import requires

with requires("langgraph-checkpoint", extra="langgraph"):
    from langgraph.store.base import MatchCondition

_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def matches_filter(value: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> bool:
    """Whether an item's value has all that a filter asks for.

    Args:
        value: the item's.
        wanted: by field, or by path such as "user.name": a value, or operators
            (``$eq $ne $gt $gte $lt $lte``) with values.

    Raises:
        ValueError: an operator is unknown.
    """
    return all(_matches(_field(value, path), asked) for path, asked in (wanted or {}).items())


def _field(value: Mapping[str, Any], path: str) -> Any:
    if path in value:
        return value[path]
    found: Any = value
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _matches(found: Any, asked: Any) -> bool:
    if isinstance(asked, Mapping):
        if any(str(key).startswith("$") for key in asked):
            return all(_compare(found, name, limit) for name, limit in asked.items())
        return isinstance(found, Mapping) and all(
            _matches(found.get(key), each) for key, each in asked.items()
        )
    if isinstance(asked, list | tuple):
        return (
            isinstance(found, list | tuple)
            and len(found) == len(asked)
            and all(map(_matches, found, asked))
        )
    return bool(found == asked)


def _compare(found: Any, name: str, limit: Any) -> bool:
    if name == "$eq":
        return bool(found == limit)
    if name == "$ne":
        return bool(found != limit)
    if name not in _ORDERED:
        raise ValueError(f"unknown operator {name!r}")
    # Only what has an order: numbers among numbers, texts among texts. A missing field matches nothing.
    both_texts = isinstance(found, str) and isinstance(limit, str)
    both_numbers = isinstance(found, int | float) and isinstance(limit, int | float)
    return (both_texts or both_numbers) and _ORDERED[name](found, limit)


def matches_namespace(namespace: tuple[str, ...], condition: MatchCondition) -> bool:
    """Whether a namespace begins, or ends, with a path in which "*" is any label."""
    path = condition.path
    if len(namespace) < len(path):
        return False
    if condition.match_type == "prefix":
        part = namespace[: len(path)]
    elif condition.match_type == "suffix":
        part = namespace[len(namespace) - len(path) :]
    else:
        raise ValueError(f"unknown match type {condition.match_type!r}")
    return all(wanted in ("*", label) for label, wanted in zip(part, path, strict=True))


def fixed_part(path: tuple[str, ...]) -> tuple[str, ...]:
    """The labels of a path before its first "*"."""
    return path[: path.index("*")] if "*" in path else path
