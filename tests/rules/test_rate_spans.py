"""Rate limits over every span of time, on clocks that hypothesis makes up."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miniagent_store.backend import RateResult, RateStep
from miniagent_store.rules import RateState, count_one
from miniagent_store.rules.rate import SUB_WINDOWS

Algorithm = Literal["fixed", "sliding", "bucket"]
every_algorithm = pytest.mark.parametrize("algorithm", ["fixed", "sliding", "bucket"])
START = 1_700_000_000_000
periods = st.sampled_from([1, 7, 100, 999, 1_000, 10_000])
limits = st.integers(1, 12)
# Milliseconds since the last one, mostly less than a period.
pauses = st.lists(
    st.one_of(st.integers(0, 3), st.integers(0, 400), st.integers(0, 20_000)), min_size=1, max_size=120
)


def run(
    algorithm: Algorithm, limit: int, period: int, pauses: list[int], burst: int | None = None
) -> list[tuple[int, RateResult]]:
    """When each was asked, and the answers."""
    step = RateStep("key", algorithm, limit, period, burst=burst)
    state: RateState | None = None
    now, answers = START, []
    for pause in pauses:
        now += pause
        state, result = count_one(state, step, now)
        answers.append((now, result))
    return answers


@given(limits, periods, pauses)
@settings(max_examples=300, deadline=None)
def test_sliding_never_allows_more_than_the_limit_in_any_span(
    limit: int, period: int, pauses: list[int]
) -> None:
    answers = run("sliding", limit, period, pauses)
    allowed = [at for at, result in answers if result.allowed]
    width = max(period // SUB_WINDOWS, 1)

    for first, last in zip(allowed, allowed[limit:], strict=False):
        # Strictly: what the clock calls one millisecond may be nearly two.
        assert last - first > period
    for at, result in answers:
        if not result.allowed:
            # Refused only where a span that is longer by a sub-window is full.
            assert sum(at - period - width < each <= at for each in allowed) >= limit


@given(limits, limits, periods, pauses)
@settings(max_examples=300, deadline=None)
def test_a_bucket_never_gives_more_than_it_holds_and_what_comes_back(
    limit: int, burst: int, period: int, pauses: list[int]
) -> None:
    answers = run("bucket", limit, period, pauses, burst)
    allowed = [at for at, result in answers if result.allowed]

    for i, first in enumerate(allowed):
        for count, last in enumerate(allowed[i:], 1):
            assert count * period <= burst * period + (last - first) * limit
    tokens, before = burst * period, START
    for at, result in answers:
        tokens, before = min(tokens + (at - before) * limit, burst * period), at
        assert result.allowed == (tokens >= period)
        tokens -= period if result.allowed else 0


@given(limits, periods, pauses)
@settings(max_examples=200, deadline=None)
def test_a_fixed_window_allows_the_limit_and_no_more(limit: int, period: int, pauses: list[int]) -> None:
    start, count = 0, 0
    for at, result in run("fixed", limit, period, pauses):
        if at >= start + period:
            start, count = at, 0
        assert result.allowed == (count < limit)
        count += result.allowed


@every_algorithm
@given(limits, periods, pauses, st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_who_waits_as_long_as_told_is_allowed_and_not_before(
    algorithm: Algorithm, limit: int, period: int, pauses: list[int], cost: int
) -> None:
    step = RateStep("key", algorithm, limit, period, min(cost, limit))
    state: RateState | None = None
    now = START
    for pause in pauses:
        now += pause
        state, result = count_one(state, step, now)
        if not result.allowed:
            assert result.retry_after_ms > 0
            assert not count_one(state, step, now + result.retry_after_ms - 1)[1].allowed
            assert count_one(state, step, now + result.retry_after_ms)[1].allowed
        all_free = RateStep("key", algorithm, limit, period, limit)
        assert count_one(state, all_free, now + result.reset_after_ms)[1].allowed


@every_algorithm
@given(limits, periods, pauses, st.integers(0, 10**12), pauses)
@settings(max_examples=150, deadline=None)
def test_a_clock_that_goes_back_lets_no_more_through_and_delays_by_one_period(
    algorithm: Algorithm, limit: int, period: int, before: list[int], back: int, after: list[int]
) -> None:
    step = RateStep("key", algorithm, limit, period)
    state: RateState | None = None
    now, true_time = START, START
    allowed: list[int] = []
    for at, pause in enumerate([*before, *after]):
        now, true_time = now + pause, true_time + pause
        if at == len(before):
            now -= back
        state, result = count_one(state, step, now)
        assert result.retry_after_ms <= period + max(period // SUB_WINDOWS, 1)
        if result.allowed:
            allowed.append(true_time)
    if algorithm == "sliding":
        for first, last in zip(allowed, allowed[limit:], strict=False):
            assert last - first > period - 1
