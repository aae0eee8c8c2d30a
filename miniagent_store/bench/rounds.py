"""Taking turns: what is compared works in interleaved rounds, so that a busy machine slows all alike."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from miniagent_store.bench.figures import OURS, SEALED, Better, Figure
from miniagent_store.bench.plan import Plan

# Given the number of the call, or of the task that makes it.
Call = Callable[[int], Awaitable[Any]]
Samples = dict[str, list[float]]
_OWN = (OURS, SEALED)


@dataclass
class Run:
    """One run of the benchmark, while it is measured.

    Attributes:
        plan: how much is measured.
        seed: of the order of turns.
        tell: is told what is measured next.
        figures, notes: what was measured, and what could not be.
    """

    plan: Plan
    seed: int = 0
    tell: Callable[[str], None] = lambda what: None
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random: Random = Random(self.seed)
        self._began = time.monotonic()

    def has_time_for_peers(self, where: str) -> bool:
        """Whether so little time has gone that peers may take part; else there is a note."""
        if time.monotonic() - self._began < self.plan.peers_until:
            return True
        self.note(f"{where}: peers were left out of some tables, for time; without --quick they have it")
        return False

    def note(self, text: str) -> None:
        """Say once what could not be measured."""
        if text not in self.notes:
            self.notes.append(text)

    async def contest(self, where: str, calls: Mapping[str, Call], *, growing: bool = True) -> Samples:
        """Microseconds a call by round, of each that takes part; one call after the other.

        Who fails is left out, with a note, unless it is ours.

        Args:
            where: for notes: what is measured, and where.
            calls: what each does.
            growing: whether calls make histories longer, so that there must not be too many.
        """
        most = self.plan.turn_calls if growing else sys.maxsize

        async def turn(name: str) -> float:
            made, began = 0, time.perf_counter()
            while True:
                await calls[name](numbers[name] + made)
                made += 1
                took = time.perf_counter() - began
                if took >= self.plan.turn_seconds or made >= most:
                    numbers[name] += made
                    return took / made * 1e6

        numbers = dict.fromkeys(calls, 0)
        return await self.rounds(where, list(calls), turn)

    async def crowd(self, where: str, calls: Mapping[str, Call], tasks: int) -> tuple[Samples, Samples]:
        """Calls a second by round, and 99th percentiles of a call in milliseconds; all tasks at once.

        Args:
            where: for notes: what is measured, and where.
            calls: what each does, given the number of a task.
            tasks: how many work at once.
        """
        tails: Samples = {name: [] for name in calls}

        async def turn(name: str) -> float:
            took: list[float] = []
            began = time.perf_counter()
            until = began + self.plan.crowd_seconds

            async def work(number: int) -> None:
                before = time.perf_counter()
                while True:
                    await calls[name](number)
                    now = time.perf_counter()
                    took.append(now - before)
                    before = now
                    if now >= until:
                        return

            await gather(*(work(number) for number in range(tasks)))
            rate = len(took) / (time.perf_counter() - began)
            tails[name].append((statistics.quantiles(took, n=100)[98] if len(took) > 1 else took[0]) * 1e3)
            return rate

        rates = await self.rounds(where, list(calls), turn)
        # Without that of the warm-up.
        return rates, {name: tails[name][-len(own) :] if own else [] for name, own in rates.items()}

    async def rounds(
        self,
        where: str,
        names: Sequence[str],
        turn: Callable[[str], Awaitable[float]],
        rounds: int | None = None,
    ) -> Samples:
        """What `turn` gives for each name, round by round, in another order each time."""
        samples: Samples = {name: [] for name in names}
        began = time.perf_counter()
        for number in range(1 + (rounds or self.plan.rounds)):
            # In another order each time, so that none always follows the same one.
            for name in self.random.sample(list(samples), len(samples)):
                try:
                    sample = await turn(name)
                except Exception as problem:
                    if name in _OWN:
                        raise
                    del samples[name]
                    self.note(f"{where}: {name} failed: {describe(problem)}")
                    continue
                if number:  # the first round warms up
                    samples[name].append(sample)
            late = time.perf_counter() - began > self.plan.contest_seconds
            if number >= self.plan.least_rounds and late:
                break
        return samples

    def add(
        self,
        samples: Mapping[str, Sequence[float]],
        *,
        area: str,
        place: str,
        unit: str,
        baseline: str | None,
        operation: str | None = None,
        subject: str | None = None,
        length: int | None = None,
        tasks: int | None = None,
        better: Better = "lower",
    ) -> None:
        """Keep the samples of a contest as figures.

        Args:
            samples: by name, which is that of a subject, or with `subject` that of an operation.
            baseline: by whose samples the others are divided; where it failed there are no ratios.
            operation, subject: the one that is the same for all.
        """
        base = samples.get(baseline or "", ())
        for name, own in samples.items():
            if not own or (subject is not None and name == baseline):
                continue
            self.figures.append(
                Figure(
                    area=area,
                    place=place,
                    subject=subject or name,
                    operation=operation or name,
                    unit=unit,
                    samples=tuple(own),
                    ratios=tuple(a / b for a, b in zip(own, base, strict=False) if b),
                    length=length,
                    tasks=tasks,
                    better=better,
                )
            )


async def gather(*work: Awaitable[Any]) -> None:
    """Do all at once; the first failure ends the others before it is raised."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def describe(problem: BaseException) -> str:
    """A failure in a few words."""
    text = " ".join(str(problem).split())[:200]
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__
