"""Rate limits, by the millisecond."""

from __future__ import annotations

from typing import Literal

import pytest

from miniagent_store.backend import RateResult, RateStep
from miniagent_store.rules import RateState, count_one

Algorithm = Literal["fixed", "sliding", "bucket"]
PERIOD = 1_000
# The start of a sliding window.
START = 50_000


class Limiter:
    """A rate limit on a clock that stands still."""

    def __init__(self, algorithm: Algorithm, limit: int, burst: int | None = None) -> None:
        self._algorithm, self._limit = algorithm, limit
        self._state: RateState | None = None
        self.period_ms, self.burst = PERIOD, burst

    def at(self, ms: int, cost: int = 1) -> RateResult:
        step = RateStep("key", self._algorithm, self._limit, self.period_ms, cost, self.burst)
        self._state, result = count_one(self._state, step, START + ms)
        return result

    def allowed(self, *times: int) -> list[bool]:
        return [self.at(ms).allowed for ms in times]


class TestFixedWindow:
    def test_it_counts_from_the_first_one_on(self) -> None:
        limiter = Limiter("fixed", 2)

        assert limiter.allowed(700, 800, 900, 1_699) == [True, True, False, False]
        assert limiter.allowed(1_700, 1_701, 1_702) == [True, True, False]

    def test_it_tells_what_remains_and_when_to_come_again(self) -> None:
        limiter = Limiter("fixed", 2)

        assert limiter.at(0) == RateResult(True, 1, 0, 1_000)
        assert limiter.at(400) == RateResult(True, 0, 0, 600)
        assert limiter.at(400) == RateResult(False, 0, 600, 600)
        assert limiter.at(999) == RateResult(False, 0, 1, 1)
        assert limiter.at(1_000) == RateResult(True, 1, 0, 1_000)

    def test_what_was_refused_does_not_count(self) -> None:
        limiter = Limiter("fixed", 3)

        assert limiter.at(0, cost=2).allowed
        assert not limiter.at(1, cost=2).allowed
        assert limiter.at(2).allowed


class TestSlidingWindow:
    def test_no_more_than_the_limit_in_one_window(self) -> None:
        limiter = Limiter("sliding", 2)

        assert limiter.allowed(0, 0, 0, 999) == [True, True, False, False]

    def test_each_counts_until_its_sub_window_is_a_period_ago(self) -> None:
        limiter = Limiter("sliding", 2)

        # A sub-window is 5 ms.
        assert limiter.at(0) == RateResult(True, 1, 0, 1_005)
        assert limiter.at(103) == RateResult(True, 0, 0, 1_002)
        assert limiter.at(900) == RateResult(False, 0, 105, 205)
        assert limiter.allowed(1_004, 1_005, 1_005) == [False, True, False]
        assert limiter.allowed(1_104, 1_105, 1_105) == [False, True, False]

    def test_a_period_later_nothing_is_remembered(self) -> None:
        limiter = Limiter("sliding", 5)
        assert limiter.at(900, cost=5).allowed

        assert limiter.at(1_905, cost=5) == RateResult(True, 0, 0, 1_005)

    def test_another_period_counts_what_was_counted_before(self) -> None:
        limiter = Limiter("sliding", 2)
        limiter.at(0)
        limiter.period_ms = 10_000

        assert limiter.allowed(500, 9_000, 10_004, 10_005) == [True, False, False, True]

    def test_a_burst_at_the_edge_is_not_doubled(self) -> None:
        limiter = Limiter("sliding", 10)
        assert limiter.at(999, cost=10).allowed

        assert not limiter.at(1_000).allowed

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 10])
    @pytest.mark.parametrize("first", [0, 1, 333, 999])
    @pytest.mark.parametrize("second", [0, 1, 250, 999, 1_001, 1_500, 1_999])
    def test_who_waits_as_long_as_told_is_allowed(self, limit: int, first: int, second: int) -> None:
        limiter = Limiter("sliding", limit)
        for _ in range(limit):
            limiter.at(first)
        now = max(first, second)

        refused = limiter.at(now)

        if not refused.allowed:
            assert refused.retry_after_ms > 0
            assert limiter.at(now + refused.retry_after_ms).allowed


class TestTokenBucket:
    def test_it_begins_full_and_is_refilled_evenly(self) -> None:
        limiter = Limiter("bucket", 4)

        assert limiter.allowed(0, 0, 0, 0, 0) == [True] * 4 + [False]
        assert limiter.allowed(249, 250, 251) == [False, True, False]
        assert limiter.allowed(750, 750, 750) == [True, True, False]

    def test_it_holds_no_more_than_the_limit(self) -> None:
        limiter = Limiter("bucket", 2)
        limiter.at(0)

        assert limiter.allowed(60_000, 60_000, 60_000) == [True, True, False]

    @pytest.mark.parametrize("cost", [1, 2, 3, 4])
    def test_who_waits_as_long_as_told_is_allowed(self, cost: int) -> None:
        limiter = Limiter("bucket", 4)
        limiter.at(0, cost=4)

        refused = limiter.at(10, cost=cost)

        assert refused == RateResult(False, 0, cost * 250 - 10, 990)
        assert not limiter.at(10 + refused.retry_after_ms - 1, cost=cost).allowed
        assert limiter.at(10 + refused.retry_after_ms, cost=cost).allowed

    def test_a_clock_that_goes_back_refills_nothing(self) -> None:
        limiter = Limiter("bucket", 1)
        limiter.at(10_000)

        assert limiter.allowed(0, 500, 1_000) == [False, False, True]

    def test_a_burst_is_what_it_holds(self) -> None:
        limiter = Limiter("bucket", 4, burst=1)

        assert limiter.allowed(0, 0, 249, 250, 250, 500) == [True, False, False, True, False, True]

        wide = Limiter("bucket", 1, burst=3)
        assert wide.allowed(0, 0, 0, 0, 999, 1_000) == [True, True, True, False, False, True]

    def test_another_period_keeps_the_tokens(self) -> None:
        limiter = Limiter("bucket", 4)
        limiter.at(0, cost=3)
        limiter.period_ms = 60_000

        assert limiter.allowed(0, 0, 14_999, 15_000) == [True, False, False, True]


@pytest.mark.parametrize("algorithm", ["fixed", "sliding", "bucket"])
def test_a_cost_above_the_limit_is_never_allowed(algorithm: Algorithm) -> None:
    limiter = Limiter(algorithm, 3)

    results = [limiter.at(ms, cost=4) for ms in range(0, 10_000, 500)]

    assert not any(result.allowed for result in results)
    assert all(result.retry_after_ms > 0 for result in results)
    assert limiter.at(10_000, cost=3).allowed
