"""What got slower, beyond noise."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from miniagent_store.bench.compare import compare
from miniagent_store.bench.figures import BY_HAND, OURS, Better, Figure, Result

MACHINE = {"processor": "x", "cores": 2, "memory": 2**33, "python": "CPython 3.12.1"}
EMPTY = Result("quick", "2030-01-01", 1, MACHINE, {}, {"redis": "Redis 7.0"}, None)


def around(middle: float, seed: int, spread: float = 0.1, rounds: int = 9) -> tuple[float, ...]:
    random = Random(seed)
    return tuple(middle * random.uniform(1 - spread, 1 + spread) for _ in range(rounds))


def result(*figures: Figure) -> Result:
    return replace(EMPTY, figures=figures)


def figure(
    samples: tuple[float, ...],
    ratios: tuple[float, ...] = (),
    better: Better = "lower",
    subject: str = OURS,
) -> Figure:
    return Figure("operations", "redis", subject, "get", "µs", samples, ratios, better=better)


def test_what_takes_half_as_long_again_is_slower() -> None:
    found = compare(result(figure(around(100, 1))), result(figure(around(150, 2))))

    (change,) = found.worse
    assert 1.3 < change.low <= change.factor <= change.high < 1.8
    assert not found.better
    assert not found.differences


def test_what_takes_half_as_long_is_faster() -> None:
    found = compare(result(figure(around(100, 1))), result(figure(around(50, 2))))

    assert len(found.better) == 1
    assert not found.worse


def test_noise_is_no_change() -> None:
    for seed in range(50):
        old, new = (figure(around(100, each, spread=0.3)) for each in (seed, -seed - 1))
        found = compare(result(old), result(new))
        assert not found.worse


def test_fewer_turns_a_second_are_worse() -> None:
    old, new = figure(around(1000, 1), better="higher"), figure(around(500, 2), better="higher")

    (change,) = compare(result(old), result(new)).worse

    assert change.factor > 1.5


def test_a_busier_machine_is_seen_by_the_ratios() -> None:
    old = figure(around(100, 1), ratios=around(0.8, 2))
    new = figure(around(300, 3), ratios=around(0.8, 4))

    found = compare(result(old), result(new))

    assert not found.worse
    assert found.changes[0].by_ratio


def test_trouble_of_hand_written_code_is_seen_by_the_times() -> None:
    old = figure(around(100, 1), ratios=around(0.8, 2))
    new = figure(around(100, 3), ratios=around(2.4, 4))

    assert not compare(result(old), result(new)).worse


def test_bytes_are_measured_once_and_have_no_noise() -> None:
    assert compare(result(figure((100.0,))), result(figure((106.0,)))).worse
    assert not compare(result(figure((100.0,))), result(figure((104.0,)))).worse
    assert not compare(result(figure((0.0,))), result(figure((0.0,)))).worse
    assert compare(result(figure((0.0,))), result(figure((3.0,)))).worse


def test_only_this_package_is_compared_and_only_what_both_have() -> None:
    by_hand = figure(around(1, 1), subject=BY_HAND)
    other = replace(figure(around(1, 1)), operation="state get")

    found = compare(result(by_hand, other), result(replace(by_hand, samples=(99.0,)), figure((99.0,))))

    assert found.changes == ()


def test_another_machine_or_server_is_told() -> None:
    now = replace(EMPTY, machine={**MACHINE, "cores": 8}, servers={"redis": "Redis 8.0"}, plan="full")

    told = compare(EMPTY, now).differences

    assert told == ("cores: 2, now 8", "plan: quick, now full", "redis: Redis 7.0, now Redis 8.0")
