"""Rate limits: counting one more, and functions that are limited."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar, get_args

from miniagent_store.backend import RateAlgorithm, RateStep
from miniagent_store.errors import InvalidArgumentError, RateLimitedError
from miniagent_store.ids import check_id
from miniagent_store.options import TTL, parse_duration
from miniagent_store.store.core import StoreCore
from miniagent_store.store.functions import name_of, run_function
from miniagent_store.store.reading import check_count
from miniagent_store.values import RateLimit

P = ParamSpec("P")
R = TypeVar("R")
# Up to here a whole number is exact on every backend.
MOST = 2**53


def rate_step(
    key: str, limit: int, period: TTL, *, algorithm: RateAlgorithm, cost: int, burst: int | None
) -> RateStep:
    """A step of a rate limit.

    Raises:
        InvalidArgumentError: an argument is wrong, or nothing would ever be allowed.
    """
    if algorithm not in get_args(RateAlgorithm):
        raise InvalidArgumentError(f"algorithm is 'fixed', 'sliding' or 'bucket', not {algorithm!r}")
    check_count(limit, "limit", least=1)
    check_count(cost, "cost", least=1)
    if burst is not None:
        if algorithm != "bucket":
            raise InvalidArgumentError(f"burst is for algorithm 'bucket', not {algorithm!r}")
        check_count(burst, "burst", least=1)
    period_ms = int(parse_duration(period, what="period") * 1000)
    if period_ms <= 0:
        raise InvalidArgumentError(f"period must be above zero, not {period!r}")
    step = RateStep(check_id(key, what="rate limit key"), algorithm, limit, period_ms, cost, burst)
    if cost > step.capacity:
        raise InvalidArgumentError(
            f"a cost of {cost} would never be allowed: at most {step.capacity} are at once"
        )
    if max(limit, step.capacity) * period_ms > MOST:
        raise InvalidArgumentError(
            f"{limit} in {period!r} is too much to be counted; take a shorter period"
        )
    return step


async def count_one(core: StoreCore, step: RateStep) -> RateLimit:
    """Count one more if the limit allows."""
    await core.ready()
    result = await core.retrying.attempt("rate_limit", step.key, lambda _: core.backend.rate_limit(step))
    return RateLimit(
        result.allowed,
        result.remaining,
        result.retry_after_ms / 1000,
        step.limit,
        result.reset_after_ms / 1000,
    )


async def wait_for_one(core: StoreCore, step: RateStep, wait: float) -> None:
    """Count one more, when the limit allows within `wait` seconds.

    Raises:
        RateLimitedError: it does not.
    """
    until = time.monotonic() + wait
    while not (answer := await count_one(core, step)):
        if time.monotonic() + answer.retry_after > until:
            raise RateLimitedError(step.key, retry_after=answer.retry_after)
        await asyncio.sleep(answer.retry_after)


def rate_limited(
    core: StoreCore,
    limit: int,
    period: TTL,
    *,
    key: str | Callable[..., str] | None,
    algorithm: RateAlgorithm,
    cost: int,
    burst: int | None,
    wait: float,
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """See `SessionStore.rate_limited`."""

    def step_of(name: str) -> RateStep:
        return rate_step(name, limit, period, algorithm=algorithm, cost=cost, burst=burst)

    step_of("key")  # what is wrong is told at once, not at the first call

    def decorate(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @functools.wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            name = key(*args, **kwargs) if callable(key) else key or name_of(function)
            await wait_for_one(core, step_of(name), wait)
            return await run_function(function, *args, **kwargs)

        return call

    return decorate
