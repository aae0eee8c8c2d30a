from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from codec_support import CONTEXT, EXAMPLE, make_codec, values
from hypothesis import given, settings

from miniagent_store.codec import Codec

CODEC = make_codec("msgpack")


def test_the_order_of_mappings_and_sets_does_not_matter(codec: Codec) -> None:
    assert codec.digest({"a": 1, "bb": {"x": 1, "y": 2}}) == codec.digest({"bb": {"y": 2, "x": 1}, "a": 1})
    assert codec.digest({1: 2, "a": 3}) == codec.digest({"a": 3, 1: 2})
    texts = [f"element {number}" for number in range(50)]
    backwards = texts[::-1]
    assert codec.digest(set(texts)) == codec.digest(set(backwards))
    assert codec.digest([{(1, frozenset(texts)): 1}]) == codec.digest([{(1, frozenset(backwards)): 1}])


def test_the_order_of_lists_matters(codec: Codec) -> None:
    assert codec.digest([1, 2]) != codec.digest([2, 1])


SMALL = {"role": "user", "content": "hi", "n": 1}
DIFFERENT = [
    1,
    1.0,
    True,
    "1",
    b"1",
    [1],
    (1,),
    {1},
    frozenset({1}),
    {1: None},
    {"1": None},
    None,
    0,
    0.0,
    -0.0,
    False,
    "",
    b"",
    [],
    (),
    {},
    set(),
    2**64,
    float(2**64),
    float("nan"),
    "nan",
    {"$t": "float", "v": "nan"},
    {"$t": "set", "v": [1]},
    datetime(2026, 1, 1),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 1, fold=1),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(0), "UTC")),
]


def test_values_that_differ_in_type_differ_in_digest(codec: Codec) -> None:
    for one, other in itertools.combinations(DIFFERENT, 2):
        assert codec.digest(one) != codec.digest(other), (one, other)


@given(value=values)
@settings(max_examples=100, deadline=None)
def test_a_digest_outlives_storing_and_does_not_depend_on_the_chain(value: Any) -> None:
    other = make_codec("json")
    returned = other.decode(other.encode(value, CONTEXT), CONTEXT)

    assert len(CODEC.digest(value)) == 32
    assert CODEC.digest(value) == other.digest(value) == CODEC.digest(returned)


@pytest.mark.parametrize(
    ("value", "digest"),
    [
        (
            {"role": "user", "content": "hi", "n": 1},
            "2a8b44f0ecbeb9750c5908fd73694d9e758f7c5bc5d73fc7f5845267b2b6abac",
        ),
        (EXAMPLE, "0808f2a153281ab4c924ecf79dc3ccf033578d6dfe1cb9a07ea5a2a57bb566b8"),
    ],
)
def test_digests_never_change(codec: Codec, value: Any, digest: str) -> None:
    assert codec.digest(value).hex() == digest
