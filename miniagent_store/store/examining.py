"""A thorough look at a store that is open: its backend, and what can be seen of any backend from above."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from statistics import median

from miniagent_store.errors import StoreError
from miniagent_store.store.core import StoreCore
from miniagent_store.store.readable_values import ReadableValues
from miniagent_store.values import Finding

# About how many sessions are looked at, and how many round trips are timed.
SAMPLE, ROUNDS = 200, 5
MOST_TIMING = 1.0
# Seconds of a round trip, and between two clocks, that are worth a warning.
SLOW, APART = 0.1, 1.0


async def examine(core: StoreCore, sample: int | None) -> list[Finding]:
    """All that can be seen of a store that is ready.

    Args:
        core: of the store.
        sample: about how many sessions to look at; None for all.
    """
    found = await _looked("backend", lambda: core.backend.examine(sample))
    if any(each.level == "error" and each.check == "connection" for each in found):
        # Part of it does not serve: more would only say so again.
        return found
    latency = await _looked("latency", lambda: _latency(core))
    if has_error(latency):
        # It does not serve: why, the backend has told, or this does.
        return found if has_error(found) else found + latency
    found += latency
    found += _clock(core)
    found += _kept(core)
    found += await _looked("values", lambda: ReadableValues(core).findings(sample))
    if core.place is not core:
        found += await _looked("cache", lambda: _cache(core.place, sample))
    return found


def has_error(found: Sequence[Finding]) -> bool:
    """Whether something of it is an error."""
    return any(each.level == "error" for each in found)


async def _looked(check: str, look: Callable[[], Awaitable[Sequence[Finding]]]) -> list[Finding]:
    try:
        return list(await look())
    except StoreError as error:
        return [Finding.of(error, check)]


async def _latency(core: StoreCore) -> list[Finding]:
    times: list[float] = []
    while len(times) < ROUNDS and sum(times) < MOST_TIMING:
        started = time.perf_counter()
        await core.backend.ping()
        times.append(time.perf_counter() - started)
    what = f"the store answers in {median(times) * 1000:.1f} ms (at most {max(times) * 1000:.1f} ms)"
    if median(times) <= SLOW:
        return [Finding("info", what, check="latency")]
    cure = "see what it is busy with, and bring it nearer: each append waits for one round trip"
    return [Finding("warning", what, cure, "latency")]


def _clock(core: StoreCore) -> list[Finding]:
    apart = core.backend.now_ms() / 1000 - time.time()
    if abs(apart) < APART:
        return [Finding("info", "the store's clock and this machine's agree", check="clock")]
    what = f"the store's clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} this machine's"
    cure = "set both by NTP: the store's clock is the one that sessions expire by"
    return [Finding("warning", what, cure, "clock")]


def _kept(core: StoreCore) -> list[Finding]:
    if core.backend.capabilities.durable:
        return []
    cure = "use sqlite:/// or redis:// for what must survive"
    return [Finding("info", "what is stored is gone when the process ends", cure, "persistence")]


async def _cache(place: StoreCore, sample: int | None) -> list[Finding]:
    """The store of ``cache_url``; without it answers are computed anew, and nothing is lost."""
    await place.ready()
    found = await place.backend.examine(sample)
    return [
        replace(each, level="warning" if each.level == "error" else each.level, check="cache")
        for each in found
    ]
