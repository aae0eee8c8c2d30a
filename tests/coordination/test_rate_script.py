"""The script of rate limits answers as the rules do, on a clock that is fed to both."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
import redis
from hypothesis import example, given, settings
from hypothesis import strategies as st

from miniagent_backends.redis.scripts import source_of
from miniagent_store.backend import RateAlgorithm, RateStep
from miniagent_store.rules import RateState, count_one, kept_ms
from miniagent_store.testing.servers import Server

START = 1_700_000_000_000
CLOCK = b"redis.call('TIME')"


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    with Server() as server, redis.Redis(port=server.port) as client:
        yield client


# Milliseconds since the last one (the clock may go back), and what it costs.
calls = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 3), st.integers(0, 3_000), st.integers(-30_000, 30_000)), st.integers(1, 4)
    ),
    min_size=1,
    max_size=60,
)
limits = st.lists(
    st.tuples(st.integers(1, 300), st.sampled_from([1, 10, 999, 1_000, 10_000, 86_400_000])),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("algorithm", ["fixed", "sliding", "bucket"])
def test_the_script_and_the_rules_agree(client: redis.Redis, algorithm: RateAlgorithm) -> None:
    source = source_of("rate")
    assert source.count(CLOCK) == 1
    script = client.register_script(source.replace(CLOCK, b"{ARGV[7], ARGV[8]}"))
    answers = 0

    @example([(1, 1)], [(0, 1), (2, 2), (-1, 1)], None)
    @given(limits, calls, st.one_of(st.none(), st.integers(1, 300)))
    @settings(max_examples=100, deadline=None)
    def compare(limits: list[tuple[int, int]], calls: list[tuple[int, int]], burst: int | None) -> None:
        nonlocal answers
        key, now = uuid.uuid4().hex, START
        state: RateState | None = None
        for at, (pause, cost) in enumerate(calls):
            # The limit of one key may be changed on the way.
            limit, period = limits[at * len(limits) // len(calls)]
            step = RateStep(key, algorithm, limit, period, cost, burst if algorithm == "bucket" else None)
            now += pause
            state, wanted = count_one(state, step, now)
            # The key would go by the server's own clock.
            arguments = [algorithm, limit, period, cost, step.capacity, 3_600_000]
            told = script([key], [*arguments, now // 1000, now % 1000 * 1000])
            assert told == [
                wanted.allowed,
                wanted.remaining,
                wanted.retry_after_ms,
                wanted.reset_after_ms,
            ]
            answers += 1

    compare()

    assert answers > 100


def test_who_is_refused_writes_nothing(client: redis.Redis) -> None:
    for algorithm in ("fixed", "sliding", "bucket"):
        step = RateStep("refused", algorithm, 2, 3_600_000, 1)  # type: ignore[arg-type]
        arguments = [algorithm, step.limit, step.period_ms, step.cost, step.capacity, kept_ms(step)]
        script = client.register_script(source_of("rate"))
        for _ in range(2):
            assert script([algorithm], arguments)[0] == 1
        changes = client.info("persistence")["rdb_changes_since_last_save"]
        for _ in range(10):
            assert script([algorithm], arguments)[0] == 0
        assert client.info("persistence")["rdb_changes_since_last_save"] == changes
