"""Times of operations: within 5 % of what sorting all of them would tell, in memory of a fixed size."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from miniagent_store import BackendUnavailableError, Message, Operation, open_store
from miniagent_store.operation import Place
from miniagent_store.store.latency import MAX_NAMES, Histogram, LatencyRecorder
from miniagent_store.testing.servers import Server

RANDOM = random.Random(16)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: RANDOM.lognormvariate(-6, 1.5),
        lambda: RANDOM.uniform(0.0001, 0.02),
        lambda: RANDOM.expovariate(50),
        lambda: RANDOM.choice([0.001, 0.002, 5.0]),
        lambda: 0.0035,
    ],
    ids=["lognormal", "uniform", "exponential", "three values", "one value"],
)
def test_percentiles_are_within_5_percent_of_sorted_samples(draw: Callable[[], float]) -> None:
    samples = [max(draw(), 2e-6) for _ in range(20_000)]
    times = Histogram()
    for sample in samples:
        times.add(sample)
    samples.sort()
    found = times.latency()

    for share, value in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
        exact = samples[math.ceil(share * len(samples)) - 1]
        assert value == pytest.approx(exact, rel=0.05)
    assert (found.count, found.max) == (len(samples), samples[-1])


def test_what_is_out_of_range_is_counted_all_the_same() -> None:
    times = Histogram()
    for sample in (0.0, -1.0, 1e-9, 1e9):
        times.add(sample)

    assert times.latency().count == 4
    assert times.latency().max == 1e9


def test_no_times_are_zeros() -> None:
    assert Histogram().latency().p99 == 0.0


def test_names_that_callers_give_cannot_fill_the_memory() -> None:
    recorder = LatencyRecorder()
    for number in range(3 * MAX_NAMES):
        recorder.record(Operation(f"named-{number}", None, Place("memory"), seconds=0.001, retries=1))

    assert len(recorder.latency()) == MAX_NAMES + 1
    assert recorder.latency()["other"].count == 2 * MAX_NAMES
    assert sum(recorder.retries().values()) == 3 * MAX_NAMES


async def test_stats_tell_the_times_of_operations_and_the_wait_for_turns(place: str) -> None:
    async with open_store(place, measure=True) as store:
        session = await store.create()
        for _ in range(10):
            await store.append(session.id, Message.user("hello"))
        async with store.turn(session.id) as turn:
            turn.append(Message.user("hello"))
        await store.history(session.id)
        stats = await store.stats()

    counts = {name: times.count for name, times in stats.latency.items()}
    assert counts == {"append": 10, "create": 1, "history": 1, "turn": 1, "turn.acquire": 1}
    times = stats.latency["append"]
    assert 0 < times.p50 <= times.p95 <= times.p99 <= times.max
    assert stats.to_dict()["latency"]["append"]["count"] == 10


async def test_stats_tell_retries_by_operation() -> None:
    with Server() as server:
        async with open_store(f"{server.url}/0", measure=True, deadline=1.5) as store:
            session = await store.create()
            server.stop()
            with pytest.raises(BackendUnavailableError):
                await store.get(session.id)
            stats = await store.stats()

    assert stats.retried["get"] >= 1
    assert sum(stats.retried.values()) <= stats.retries
