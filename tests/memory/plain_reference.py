"""What a scope of memories is to do, as plainly as it can be said: a dict, and a comparison with each."""

from __future__ import annotations

import math
import operator
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

LETTERS = "abcdefgh"
START = datetime(2024, 1, 1, tzinfo=UTC)
# Cosines of one pair, summed in another order.
EPSILON = 1e-6


class Letters:
    """An embedder that counts letters: so little is told apart that many memories are as near as others."""

    name = "letters"
    dimensions: int | None = len(LETTERS)

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[list[float]]:
        return [counted(each) for each in texts]


def counted(text: str) -> list[float]:
    return [float(text.count(letter)) for letter in LETTERS]


def unit(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(math.fsum(each * each for each in vector))
    return list(array("f", [each / length for each in vector] if length else vector))


@dataclass(frozen=True)
class Known:
    """A memory of the reference."""

    text: str
    metadata: Mapping[str, Any]
    time: datetime

    def score(self, query: Sequence[float]) -> float:
        return math.fsum(a * b for a, b in zip(unit(counted(self.text)), unit(query), strict=True))


@dataclass(frozen=True)
class Query:
    """A search by meaning."""

    text: str
    k: int = 10
    filter: Mapping[str, Any] | None = None
    min_score: float | None = None
    after: datetime | None = None
    before: datetime | None = None

    def arguments(self) -> dict[str, Any]:
        return {
            "k": self.k,
            "filter": self.filter,
            "min_score": self.min_score,
            "after": self.after,
            "before": self.before,
        }


class Reference:
    """The memories of a scope by id."""

    def __init__(self) -> None:
        self.known: dict[str, Known] = {}

    def passing(self, query: Query) -> dict[str, Known]:
        return {
            id: each
            for id, each in self.known.items()
            if (query.after is None or each.time > query.after)
            and (query.before is None or each.time < query.before)
            and passes(query.filter or {}, each.metadata)
        }

    def scores(self, query: Query) -> dict[str, float]:
        """Of all that may be found."""
        wanted = counted(query.text)
        scores = {id: each.score(wanted) for id, each in self.passing(query).items()}
        if query.min_score is None:
            return scores
        return {id: score for id, score in scores.items() if score >= query.min_score}

    def check(self, query: Query, found: Sequence[Any], *, recall: float = 1.0) -> None:
        """See that these are the nearest; equals may stand in any order, as their last bits may differ."""
        scores = self.scores(query)
        ids = [each.id for each in found]
        assert len(set(ids)) == len(ids), "something was found twice"
        for each in found:
            if each.id not in scores:
                # On the border of a score.
                assert query.min_score is not None, each
                assert each.id in self.passing(query), each
                assert abs(each.score - query.min_score) < EPSILON
                continue
            known = self.known[each.id]
            assert (each.text, dict(each.metadata), each.time) == (known.text, known.metadata, known.time)
            assert abs(each.score - scores[each.id]) < EPSILON
        given = [each.score for each in found]
        assert given == sorted(given, reverse=True)
        best = sorted(scores.values(), reverse=True)[: query.k]
        sure = [each for each in best if query.min_score is None or each > query.min_score + EPSILON]
        near = [each for each in given if not best or each >= best[-1] - EPSILON]
        assert len(near) >= recall * len(sure), (query, ids, scores)
        if recall == 1.0:
            pairs = zip(given, best, strict=False)
            assert all(abs(one - other) < EPSILON for one, other in pairs), (query, given, best)


def passes(conditions: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Said anew, and not taken from what is tested."""
    for name, wanted in conditions.items():
        value = metadata.get(name)
        for sign, other in (wanted if isinstance(wanted, Mapping) else {"$eq": wanted}).items():
            if sign == "$eq" and not equal(value, other):
                return False
            if sign == "$ne" and equal(value, other):
                return False
            if sign == "$in" and not any(equal(value, each) for each in other):
                return False
            if sign in COMPARISONS and not compares(COMPARISONS[sign], value, other):
                return False
    return True


COMPARISONS = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}


def kind_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    return {str: "text", int: "number", float: "number"}.get(type(value), "other")


def equal(value: Any, other: Any) -> bool:
    return kind_of(value) == kind_of(other) != "other" and bool(value == other)


def compares(comparison: Any, value: Any, other: Any) -> bool:
    kinds = {kind_of(value), kind_of(other)}
    return kinds in ({"text"}, {"number"}) and bool(comparison(value, other))


# What programs are made of

FIELDS = ["topic", "year", "$where", 'a"b', "a.b", "*"]
HOSTILE = ["", "'; DROP TABLE memories; --", '" or "" == "', "*", "$where", "{}", "a\0b", "Zürich", "1"]
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]),
    st.sampled_from([0.0, -0.0, 0.5, 1.0, 1e-9, -1e-9, 1e300, -1e300, 5e-324, float(2**53)]),
    st.sampled_from(HOSTILE),
)
metadata = st.dictionaries(st.sampled_from(FIELDS), values, max_size=3)
ordered = values.filter(lambda each: kind_of(each) in {"text", "number"})
conditions = st.one_of(
    values,
    st.fixed_dictionaries({}, optional={"$eq": values, "$ne": values, "$in": st.lists(values, max_size=4)}),
    st.fixed_dictionaries({}, optional=dict.fromkeys(COMPARISONS, ordered)),
)
# A field may not begin as an operator does; that it may in metadata does not matter.
filters = st.dictionaries(
    st.sampled_from([each for each in FIELDS if each[0] != "$"]), conditions, max_size=2
)
texts = st.text(LETTERS + "-", min_size=1, max_size=4)
times = st.integers(0, 6).map(lambda days: START + timedelta(days=days))
ids = st.sampled_from(["1", "2", "3", "4", "dog", "a/b", "m/x", "%", "_", "*", "Ünï", "i" * 512])
queries = st.builds(
    Query,
    texts,
    k=st.sampled_from([1, 2, 3, 10]),
    filter=st.none() | filters,
    min_score=st.none() | st.sampled_from([-1.0, 0.0, 0.3, 0.8]),
    after=st.none() | times,
    before=st.none() | times,
)


def ids_of(found: Iterable[Any]) -> list[str]:
    return [each.id for each in found]
