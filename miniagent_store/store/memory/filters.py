"""Filters on metadata: a small mapping of operators, checked once and never pasted into a query."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from miniagent_store.errors import InvalidArgumentError, shorten
from miniagent_store.ids import check_name

Filter = Mapping[str, Any]
OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in")
MAX_CONDITIONS = 64
MAX_CHOICES = 1000
MAX_VALUE_BYTES = 4096
_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_SCALARS = (str, int, float, bool, type(None))


def checked(given: Filter | None) -> dict[str, dict[str, Any]]:
    """A filter with its operators written out: ``{"a": 1}`` is ``{"a": {"$eq": 1}}``.

    Args:
        given: by field of the metadata: a value, or a mapping of operators. All must hold.

    Raises:
        InvalidArgumentError: an operator is unknown, or a value is none to compare with.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidArgumentError(f"a filter is a mapping of fields, not {type(given).__name__}")
    conditions: dict[str, dict[str, Any]] = {}
    for name, wanted in given.items():
        check_name(name, what="field of a filter")
        if name.startswith("$"):
            raise InvalidArgumentError(
                f"a filter begins with a field of the metadata, not with an operator ({shorten(name)!r})"
            )
        operators = dict(wanted) if isinstance(wanted, Mapping) else {"$eq": wanted}
        for each, value in operators.items():
            _check(name, each, value)
        conditions[name] = operators
    if sum(map(len, conditions.values())) > MAX_CONDITIONS:
        raise InvalidArgumentError(f"a filter may have {MAX_CONDITIONS} conditions")
    return conditions


def _check(name: str, wanted: Any, value: Any) -> None:
    if not isinstance(wanted, str) or wanted not in OPERATORS:
        raise InvalidArgumentError(
            f"field {shorten(name)!r}: there is no operator {shorten(str(wanted))!r}; "
            f"there are {', '.join(OPERATORS)}"
        )
    if wanted == "$in":
        if isinstance(value, str | bytes | Mapping) or not isinstance(
            value, list | tuple | set | frozenset
        ):
            raise InvalidArgumentError(f"field {shorten(name)!r}: $in takes a list of values")
        if len(value) > MAX_CHOICES:
            raise InvalidArgumentError(f"field {shorten(name)!r}: $in takes {MAX_CHOICES} values at most")
        values = list(value)
    else:
        values = [value]
    for each in values:
        if not isinstance(each, _SCALARS):
            raise InvalidArgumentError(
                f"field {shorten(name)!r}: {wanted} compares texts, numbers, true, false and null, "
                f"not {type(each).__name__}"
            )
        if isinstance(each, str) and _size(each) > MAX_VALUE_BYTES:
            raise InvalidArgumentError(
                f"field {shorten(name)!r}: a text to compare with may have {MAX_VALUE_BYTES} bytes"
            )
    if wanted in _ORDERED and not _is_ordered(value):
        raise InvalidArgumentError(f"field {shorten(name)!r}: {wanted} compares texts or numbers")


def _size(text: str) -> int:
    """Bytes of UTF-8.

    Raises:
        InvalidArgumentError: it is no Unicode.
    """
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidArgumentError("a filter holds half a surrogate pair, which is no Unicode") from None


def holds(conditions: Mapping[str, Mapping[str, Any]], metadata: Mapping[str, Any]) -> bool:
    """Whether metadata passes a checked filter. A field that is not there equals null only."""
    return all(
        _holds(each, value, metadata.get(name))
        for name, operators in conditions.items()
        for each, value in operators.items()
    )


def _holds(wanted: str, value: Any, found: Any) -> bool:
    if wanted == "$eq":
        return _same(found, value)
    if wanted == "$ne":
        return not _same(found, value)
    if wanted == "$in":
        return any(_same(found, each) for each in value)
    if not _is_ordered(found) or isinstance(found, str) is not isinstance(value, str):
        return False
    return _ORDERED[wanted](found, value)


def _same(found: Any, value: Any) -> bool:
    # In Python True is 1; in no filter is it.
    return isinstance(found, bool) is isinstance(value, bool) and bool(found == value)


def _is_ordered(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool) and value == value
