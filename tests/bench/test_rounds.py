"""Taking turns."""

from __future__ import annotations

import asyncio

import pytest

from miniagent_store.bench.figures import BY_HAND, OURS
from miniagent_store.bench.rounds import Run
from tests.bench.sizes import TINY


async def nothing(number: int) -> None:
    pass


async def broken(number: int) -> None:
    raise ValueError("no such thing")


async def test_all_work_in_each_round_and_the_first_one_only_warms_up() -> None:
    made: list[str] = []

    async def call(name: str) -> None:
        made.append(name)

    samples = await Run(TINY, seed=1).contest("here", {"a": lambda _: call("a"), "b": lambda _: call("b")})

    assert [len(each) for each in samples.values()] == [TINY.rounds] * 2
    assert made.count("a") == made.count("b") == TINY.turn_calls * (TINY.rounds + 1)
    assert made != sorted(made)


async def test_a_peer_that_fails_is_left_out_with_a_note() -> None:
    run = Run(TINY)

    samples = await run.contest("here", {BY_HAND: nothing, "peer": broken})

    assert list(samples) == [BY_HAND]
    assert run.notes == ["here: peer failed: ValueError: no such thing"]


async def test_this_package_must_not_fail() -> None:
    with pytest.raises(ValueError, match="no such thing"):
        await Run(TINY).contest("here", {OURS: broken})


async def test_a_crowd_works_at_once() -> None:
    working = most = 0

    async def call(number: int) -> None:
        nonlocal working, most
        working += 1
        most = max(most, working)
        await asyncio.sleep(0.001)
        working -= 1

    rates, tails = await Run(TINY).crowd("here", {OURS: call}, 8)

    assert most == 8
    assert all(rate > 0 for rate in rates[OURS])
    assert len(tails[OURS]) == TINY.rounds


async def test_ratios_are_those_of_the_same_round() -> None:
    run = Run(TINY)

    samples = {OURS: [2.0, 9.0], BY_HAND: [1.0, 3.0]}
    run.add(samples, area="a", place="p", unit="µs", baseline=BY_HAND, operation="o")

    assert [each.ratios for each in run.figures] == [(2.0, 3.0), (1.0, 1.0)]
