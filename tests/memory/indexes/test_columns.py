"""Columns say of each row what the filter says of its metadata."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from miniagent_store.indexing.columns import Columns
from miniagent_store.store.memory.filters import OPERATORS, checked, holds

NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**70, 10**400, 0.0, -0.0, 1.5, 1e-9, -1e-9, 1e300]),
    st.floats(allow_nan=False),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.sampled_from(["", "a", "b", "'", '"', "1"]), NUMBERS)
STORED = st.one_of(SCALARS, st.just(float("nan")), st.just(["a"]), st.just({"a": 1}))
METADATA = st.dictionaries(st.sampled_from(["a", "b"]), STORED, max_size=2)


@st.composite
def filters(draw: st.DrawFn) -> dict[str, Any]:
    """Any that `checked` lets pass."""
    made: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=2)):
        operators = {}
        for operator in draw(st.lists(st.sampled_from(OPERATORS), unique=True, min_size=1, max_size=2)):
            if operator == "$in":
                operators[operator] = draw(st.lists(SCALARS, max_size=4))
            elif operator in {"$eq", "$ne"}:
                operators[operator] = draw(SCALARS)
            else:
                operators[operator] = draw(st.one_of(NUMBERS, st.sampled_from(["", "a", "b"])))
        made[name] = operators
    return made


@given(st.lists(METADATA, max_size=8), st.lists(METADATA, max_size=8), filters())
def test_columns_say_what_the_filter_says(
    before: list[dict[str, Any]], after: list[dict[str, Any]], filter: dict[str, Any]
) -> None:
    conditions, columns = checked(filter), Columns()
    columns.want(tuple(conditions), before)
    rows = [*before, *after]
    for row in range(len(before), len(rows)):
        columns.put(row, rows[row])

    allowed = columns.allows(conditions, len(rows)).tolist()

    assert allowed == [holds(conditions, metadata) for metadata in rows]
