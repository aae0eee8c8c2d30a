"""Processes hammer on one limit: never over it, and never refused where there was room."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.coordination.processes import line_of, running, tell


class Answer(NamedTuple):
    """One answer; the server gave it between `before` and `after`, in ms of the machine's one clock."""

    before: float
    after: float
    allowed: bool
    reset_after: float


class Scale(NamedTuple):
    """How hard it is hammered on: the period and the whole in seconds."""

    processes: int
    limit: int
    period: float
    seconds: float
    tasks: int


SMALL, FULL = Scale(3, 100, 1, 2.3, 2), Scale(8, 100, 10, 36, 3)


@pytest.fixture(params=["sqlite", "standalone", "cluster"])
def hammered_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/sessions.db"
    url: str = request.getfixturevalue(request.param).url
    return url


async def hammer(url: str, scale: Scale) -> dict[str, list[Answer]]:
    namespace = uuid.uuid4().hex
    found: dict[str, list[Answer]] = {}
    async with AsyncExitStack() as stack:
        arguments = (scale.limit, scale.period, scale.seconds, scale.tasks)
        processes = [
            await stack.enter_async_context(running("hammer", url, namespace, *arguments))
            for _ in range(scale.processes)
        ]
        for process in processes:
            assert await line_of(process) == "ready"
        for process in processes:
            await tell(process)
        for process in processes:
            assert process.stdout is not None
            output = await asyncio.wait_for(process.stdout.read(), 120)
            for algorithm, rows in json.loads(output).items():
                found.setdefault(algorithm, []).extend(Answer(*row) for row in rows)
    return found


@pytest.mark.parametrize(
    "scale", [SMALL, pytest.param(FULL, marks=pytest.mark.slow)], ids=["small", "full"]
)
async def test_never_over_and_not_under(hammered_url: str, scale: Scale) -> None:
    answers = await hammer(hammered_url, scale)

    for each in answers.values():
        refused = [answer for answer in each if not answer.allowed]
        assert len(refused) > scale.limit, "it was not hammered on"
    check_fixed(answers["fixed"], scale.limit, scale.period * 1000)
    check_sliding(answers["sliding"], scale.limit, scale.period * 1000)
    check_bucket(answers["bucket"], scale.limit, scale.period * 1000)


def check_fixed(answers: list[Answer], limit: int, period: float) -> None:
    """No window of the server allowed more than it may; one that refused had allowed as many."""
    # The end of its window is a millisecond of the server, however long the answer took.
    ends = sorted((answer.after + answer.reset_after, answer.allowed) for answer in answers)
    windows = [Counter[bool]()]
    for (end, _), (following, allowed) in pairwise([ends[0], *ends]):
        if following - end > period / 2:
            windows.append(Counter())
        windows[-1][allowed] += 1
    assert len(windows) >= 3
    for window in windows:
        assert window[True] <= limit
        assert window[True] == limit or not window[False]


def check_sliding(answers: list[Answer], limit: int, period: float) -> None:
    """No span of a period holds more than the limit; nobody is refused where 101 % of one is not full."""
    allowed = sorted(answer for answer in answers if answer.allowed)
    for number, first in enumerate(allowed):
        # Those that were surely allowed within one period from the first on.
        within = [each for each in allowed[number:] if each.after <= first.before + period]
        assert len(within) <= limit
    for refused in answers:
        if not refused.allowed:
            start = refused.before - period * 1.01
            full = sum(1 for each in allowed if each.after >= start and each.before <= refused.after)
            assert full >= limit
    # The last span counts where there was time to use it up, which a busy machine takes.
    spans = (max(each.before for each in answers) - min(each.after for each in answers)) / (period * 1.01)
    assert len(allowed) >= limit * 0.99 * (1 + int(spans - 0.5))


def check_bucket(answers: list[Answer], limit: int, period: float) -> None:
    """No span holds more than a full bucket and what came back; all together not less than that."""
    allowed = sorted(answer for answer in answers if answer.allowed)
    for number, first in enumerate(allowed):
        for count, last in enumerate(sorted(each.after for each in allowed[number:]), 1):
            assert count <= limit + (last - first.before + 1) * limit / period
    if period < FULL.period * 1000:
        return  # a busy machine may not use up what comes back so fast
    begin, end = min(each.after for each in answers), max(each.before for each in answers)
    assert len(allowed) >= 0.99 * (limit + (end - begin) * limit / period) - 1
