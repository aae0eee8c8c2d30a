"""Filters for VSIM: made of numbers and digests only, so that nothing a caller wrote is part of a query.

Of a memory's metadata the server is given digests of fields and values, and numbers. What it cannot say
exactly it says wider; whoever asked looks at the metadata themselves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from miniagent_store.vector_index import IndexedVector, IndexQuery

TIME, EXPIRES, HELD = "t", "x", "h"
# Whole numbers from here on are not all told apart by the server's, which are float64.
EXACT = 2**53
LARGEST = 1.7976931348623157e308
# Below, Python writes numbers with an exponent.
LEAST = 0.0001
FOR_EVER = 9_000_000_000_000_000
# More choices are looked at by the client only.
MOST_CHOICES = 100
_COMPARED = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


def attributes(one: IndexedVector) -> bytes:
    """What the server is told of a memory, beside its vector."""
    told: dict[str, Any] = {
        TIME: one.time_ms,
        # Always, since whoever lacks what an expression asks for does not pass it, whatever else it says.
        EXPIRES: FOR_EVER if one.expires_ms is None else one.expires_ms,
    }
    held = []
    for name, value in one.metadata.items():
        if value is None:
            continue
        held.append(_digest(name))
        if (token := _token(name, value)) is not None:
            held.append(token)
        if _is_number(value):
            told[_numbers(name)] = _clamped(value)
    told[HELD] = held
    return json.dumps(told, separators=(",", ":"), allow_nan=False).encode()


def filter_of(query: IndexQuery, *, some_expire: bool) -> str:
    """What a query may find, as an expression; "" for all.

    Args:
        query: with a checked filter.
        some_expire: whether the set has elements that expire.
    """
    parts = []
    if query.after_ms is not None:
        parts.append(f".{TIME}>{int(query.after_ms)}")
    if query.before_ms is not None:
        parts.append(f".{TIME}<{int(query.before_ms)}")
    for name, operators in query.filter.items():
        for operator, value in operators.items():
            parts += _conditions(name, operator, value)
    if some_expire:
        parts.append(f".{EXPIRES}>{int(query.now_ms)}")
    return " and ".join(parts)


def _conditions(name: str, operator: str, value: Any) -> Iterator[str]:
    if operator == "$eq":
        yield _equals(name, value)
    elif operator == "$ne":
        # Of two numbers that look equal to the server one may be another.
        if not _is_number(value) or abs(value) < EXACT:
            yield f"not ({_equals(name, value)})"
    elif operator == "$in":
        if len(value) <= MOST_CHOICES:
            yield f"({' or '.join(_equals(name, each) for each in value)})" if value else _has("none")
    elif isinstance(value, str):
        yield _has(_digest(name))
    else:
        yield f".{_numbers(name)}{_compared(_COMPARED[operator], value)}"


def _equals(name: str, value: Any) -> str:
    if value is None:
        return f"not ({_has(_digest(name))})"
    return _has(_token(name, value) or "none")


def _has(token: str) -> str:
    return f'"{token}" in .{HELD}'


def _token(name: str, value: Any) -> str | None:
    """The same for values of a field that a filter takes for equal; None for one that equals nothing."""
    if isinstance(value, bool):
        return _digest(name, f"b{value}")
    if isinstance(value, str):
        return _digest(name, f"s{value}")
    if _is_number(value):
        return _digest(name, f"n{_clamped(value)!r}")
    return None


def _digest(*parts: str) -> str:
    # With its length before it, so that no two lists of parts are the same bytes.
    data = b"".join(b"%d:%b" % (len(part.encode()), part.encode()) for part in parts)
    return blake2b(data, digest_size=8).hexdigest()


def _numbers(name: str) -> str:
    """The attribute for the numbers of a field."""
    return f"n{_digest(name)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _clamped(value: float) -> float:
    """As the server has it."""
    try:
        number = float(value) + 0.0  # no negative zero
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    return min(max(number, -LARGEST), LARGEST)


def _compared(sign: str, value: float) -> str:
    """A comparison that holds for all numbers for which it should, and for as few others as can be said."""
    number = _clamped(value)
    if abs(value) >= EXACT:
        # What is greater may look equal, as the next whole number does. The server's numbers have no plus
        # in their exponents.
        return f"{sign.removesuffix('=')}={number!r}".replace("e+", "e")
    if 0 < abs(number) < LEAST:
        # They have no negative exponents either.
        bound = (min(number, 0.0) and -LEAST) if sign.startswith(">") else (max(number, 0.0) and LEAST)
        return f"{sign.removesuffix('=')}={bound:.4f}"
    return f"{sign}{number!r}"
