"""A whole run, in places made for it."""

from __future__ import annotations

import pytest

from miniagent_store.bench import footprint, operations, places, startup, writers
from miniagent_store.bench.figures import BY_HAND, OURS, SEALED, Result
from miniagent_store.bench.run import AREAS, measure
from miniagent_store.testing import servers
from tests.bench.sizes import TINY


async def test_everything_is_measured_everywhere() -> None:
    told: list[str] = []
    areas = {*AREAS} - {startup.AREA, writers.AREA}  # which have tests of their own

    result = await measure(TINY, areas=areas, seed=5, tell=told.append)

    again = Result.from_dict(result.to_dict())
    assert [each.key for each in again.figures] == [each.key for each in result.figures]
    assert {each.area for each in result.figures} == areas
    assert {each.place for each in result.figures if each.area == operations.AREA} == {
        "memory",
        "sqlite",
        "redis",
    }
    appends = [each for each in result.figures if each.operation == operations.APPEND]
    assert {(each.subject, each.length) for each in appends} == {
        (subject, length) for subject in (OURS, SEALED, BY_HAND) for length in TINY.lengths
    }
    assert all(each.ratios for each in appends)
    for each in result.figures:
        if each.area == footprint.AREA and each.subject == OURS:
            assert each.spread.median > footprint.PAYLOAD
    assert result.machine["cores"] > 0
    assert result.servers["redis"].split()[0] in {"Redis", "Valkey"}
    assert result.packages["orjson"]
    assert "redis: 4 tasks at once" in told


@pytest.mark.slow
async def test_four_processes_lose_nothing() -> None:
    result = await measure(TINY, areas=[writers.AREA])

    left = {(each.place, each.operation): each.samples for each in result.figures if each.subject == OURS}
    for place in ("sqlite", "redis"):
        assert left[place, writers.KEPT] == (writers.WRITTEN,)
        assert left[place, writers.UNBROKEN] == (writers.PROCESSES * writers.TURNS,)
        assert left[place, writers.REFUSED] == (0,)


async def test_without_a_server_it_is_said_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "find_servers", dict)

    result = await measure(TINY, areas=["coordination"])

    assert {each.place for each in result.figures} == {"memory", "sqlite"}
    assert places.NO_SERVER in result.notes


def test_what_is_left_counts_unbroken_turns() -> None:
    one, other = writers.turn_of(0, 0), writers.turn_of(1, 0)

    assert writers.what_is_left([*writers.START, *one, *other]) == writers.Left(6, 2)
    assert writers.what_is_left([one[0], other[0], one[1], other[1]]) == writers.Left(4, 0)
    assert writers.what_is_left([other[0], *one]) == writers.Left(3, 1)
