"""How a rate limit counts one more."""

from __future__ import annotations

import math

from miniagent_store.backend import RateResult, RateStep

# Three numbers: fixed (window start, count, 0) · sliding (window start, count, count before) ·
# bucket (time in ms, tokens, 0).
RateState = tuple[float, float, float]


def count_one(state: RateState | None, step: RateStep, now_ms: int) -> tuple[RateState, RateResult]:
    """The state to keep and the answer. The state is of no use any more two periods later."""
    match step.algorithm:
        case "fixed":
            return _fixed(state, step, now_ms)
        case "sliding":
            return _sliding(state, step, now_ms)
        case "bucket":
            return _bucket(state, step, now_ms)


def _fixed(state: RateState | None, step: RateStep, now_ms: int) -> tuple[RateState, RateResult]:
    start, count, _ = state or (float(now_ms), 0.0, 0.0)
    if now_ms >= start + step.period_ms:
        start, count = float(now_ms), 0.0
    allowed = count + step.cost <= step.limit
    if allowed:
        count += step.cost
    wait = 0 if allowed else int(start + step.period_ms - now_ms)
    return (start, count, 0.0), RateResult(allowed, max(int(step.limit - count), 0), wait)


def _sliding(state: RateState | None, step: RateStep, now_ms: int) -> tuple[RateState, RateResult]:
    window = float(now_ms - now_ms % step.period_ms)
    start, count, before = state or (window, 0.0, 0.0)
    if window >= start + 2 * step.period_ms:
        count, before = 0.0, 0.0
    elif window > start:
        count, before = 0.0, count
    weight = 1 - (now_ms - window) / step.period_ms
    used = count + before * weight
    allowed = used + step.cost <= step.limit
    wait = 0
    if allowed:
        count += step.cost
        used += step.cost
    else:
        wait = _sliding_wait(step, count, before, now_ms - window)
    return (window, count, before), RateResult(allowed, max(int(step.limit - used), 0), wait)


def _sliding_wait(step: RateStep, count: float, before: float, elapsed: float) -> int:
    room = step.limit - count - step.cost
    if room >= 0 and before > 0:
        return max(math.ceil(step.period_ms * (1 - room / before) - elapsed), 1)
    # Not before the next window, where this one's count weighs as the one before.
    share = max(step.limit - step.cost, 0) / count if count else 1.0
    return max(math.ceil(step.period_ms - elapsed + step.period_ms * max(1 - share, 0)), 1)


def _bucket(state: RateState | None, step: RateStep, now_ms: int) -> tuple[RateState, RateResult]:
    at, tokens, _ = state or (float(now_ms), float(step.limit), 0.0)
    per_ms = step.limit / step.period_ms
    tokens = min(float(step.limit), tokens + max(now_ms - at, 0) * per_ms)
    allowed = tokens >= step.cost
    if allowed:
        tokens -= step.cost
    wait = 0 if allowed else max(math.ceil((step.cost - tokens) / per_ms), 1)
    return (float(now_ms), tokens, 0.0), RateResult(allowed, int(tokens), wait)
