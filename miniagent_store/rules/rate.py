"""How a rate limit counts one more. `rate.lua` does the same on a Redis server."""

from __future__ import annotations

from miniagent_store.backend import RateResult, RateStep

# Whole numbers: fixed (window start, count) · sliding (end of a sub-window, count, of the next, …) ·
# bucket (time, tokens × period, period).
RateState = tuple[int, ...]
# What was counted in a sub-window counts until all of it is a period ago: at most half a percent too long.
SUB_WINDOWS = 200


def count_one(state: RateState | None, step: RateStep, now_ms: int) -> tuple[RateState, RateResult]:
    """The state to keep (for `kept_ms`, if it is another) and the answer.

    Where the clock went back, what was counted before counts as if it had been counted now: nothing is
    allowed too early, and nobody waits for longer than one more period.
    """
    match step.algorithm:
        case "fixed":
            return _fixed(state, step, now_ms)
        case "sliding":
            return _sliding(state, step, now_ms)
        case "bucket":
            return _bucket(state, step, now_ms)


def kept_ms(step: RateStep) -> int:
    """For how long a state is of use after it changed."""
    return step.period_ms + _ceil(step.period_ms * max(step.capacity, step.limit), step.limit)


def _fixed(state: RateState | None, step: RateStep, now_ms: int) -> tuple[RateState, RateResult]:
    start, count = state or (now_ms, 0)
    start = min(start, now_ms)
    if now_ms >= start + step.period_ms:
        start, count = now_ms, 0
    allowed = count + step.cost <= step.limit
    if allowed:
        count += step.cost
    left = start + step.period_ms - now_ms
    return (start, count), RateResult(allowed, max(step.limit - count, 0), 0 if allowed else left, left)


def _sliding(state: RateState | None, step: RateStep, now_ms: int) -> tuple[RateState, RateResult]:
    width = max(step.period_ms // SUB_WINDOWS, 1)
    end = now_ms - now_ms % width + width
    counts: dict[int, int] = {}
    went_back = False
    pairs = iter(state or ())
    for at, count in zip(pairs, pairs, strict=True):
        if at + step.period_ms > now_ms:
            went_back = went_back or at > end
            counts[min(at, end)] = counts.get(min(at, end), 0) + count
    used = sum(counts.values())
    allowed = used + step.cost <= step.limit
    wait = 0
    if allowed:
        counts[end] = counts.get(end, 0) + step.cost
        used += step.cost
    else:
        wait = _sliding_wait(counts, used + step.cost - step.limit, step.period_ms, now_ms)
    reset = max(counts, default=now_ms) + step.period_ms - now_ms
    # Who is refused again and again costs no writing.
    if allowed or went_back or state is None:
        state = tuple(number for pair in counts.items() for number in pair)
    return state, RateResult(allowed, max(step.limit - used, 0), wait, reset)


def _sliding_wait(counts: dict[int, int], excess: int, period_ms: int, now_ms: int) -> int:
    for at, count in counts.items():
        excess -= count
        if excess <= 0:
            return at + period_ms - now_ms
    return period_ms


def _bucket(state: RateState | None, step: RateStep, now_ms: int) -> tuple[RateState, RateResult]:
    # Tokens times the period, so that what a millisecond brings is a whole number: the limit.
    period = step.period_ms
    full, cost = step.capacity * period, step.cost * period
    at, kept, kept_period = state or (now_ms, full, period)
    level = kept if kept_period == period else kept * period // kept_period
    level = min(level + max(now_ms - at, 0) * step.limit, full)
    allowed = level >= cost
    wait = 0
    if allowed:
        level -= cost
    else:
        wait = _ceil(cost - level, step.limit)
    if allowed or state is None or at > now_ms or kept_period != period:
        state = (now_ms, level, period)
    return state, RateResult(allowed, level // period, wait, _ceil(full - level, step.limit))


def _ceil(number: int, by: int) -> int:
    return -(-number // by)
