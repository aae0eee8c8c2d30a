"""What a random program calls with: ids, names and messages that meet again, and values of every type."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    2**63,
    10**40,
    1.5,
    "",
    "text",
    "ünïcödé 🐍",
    b"\x00\xff",
    [1, "two", None],
    {"a": 1, "b": [2]},
    {"$t": "not a tag", "v": 1},
    {1: "int key", (2, 3): "tuple key"},
    (1, (2,)),
    {1, 2},
    frozenset({"x"}),
    datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    date(2026, 1, 2),
    timedelta(days=1, microseconds=1),
    Decimal("1.10"),
    UUID(int=5),
]
sessions: st.SearchStrategy[str] = st.sampled_from(["s0", "s1", "s2", "s3"])
logs: st.SearchStrategy[str] = st.sampled_from(["messages", "messages", "events", "notes"])
names: st.SearchStrategy[str] = st.sampled_from(["a", "ab", "b", "b/1", "ü", "{x}"])
prefixes: st.SearchStrategy[str] = st.sampled_from(["", "a", "b", "zz"])
values: st.SearchStrategy[Any] = st.sampled_from(VALUES)
small: st.SearchStrategy[int] = st.integers(0, 12)
maybe_small: st.SearchStrategy[int | None] = st.none() | small
caller_ids: st.SearchStrategy[str | None] = st.sampled_from([None, None, None, "m1", "m2"])
users: st.SearchStrategy[str | None] = st.sampled_from([None, "ada", "bob"])
tag_sets: st.SearchStrategy[list[str] | dict[str, str] | None] = st.sampled_from(
    [None, [], ["x"], ["x", "y"], {"run": "1"}]
)
ttls: st.SearchStrategy[int | str | None] = st.sampled_from([None, None, 3600, "1h", "never"])
messages: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda value, caller_id: {"role": "user", "content": value, **({"id": caller_id} if caller_id else {})},
    values,
    caller_ids,
)
changes: st.SearchStrategy[list[Any]] = st.lists(
    st.one_of(
        st.tuples(st.just("append"), logs, messages),
        st.tuples(st.just("set"), names, values),
        st.tuples(st.just("set_if_absent"), names, values),
        st.tuples(st.just("add"), names, small),
        st.tuples(st.just("delete"), names, st.none()),
        st.tuples(st.just("delete_prefix"), prefixes, st.none()),
        st.tuples(st.just("trim"), logs, small),
        st.tuples(st.just("clear"), st.none(), st.none()),
        st.tuples(st.just("metadata"), st.none(), values),
        st.tuples(st.just("tags"), st.none(), tag_sets),
        st.tuples(st.just("redact"), logs, small),
        st.tuples(st.just("replace"), logs, small),
    ),
    max_size=4,
)
