"""What got slower since an earlier result, beyond noise.

The noise is that of the rounds: medians are taken of samples drawn anew from them (bootstrap), and a
change counts where 99 of 100 such comparisons agree that it is more than a tenth. Where both results have
ratios to hand-written code, times and ratios must agree on that: a busier machine changes times only, and
trouble that only hand-written code had changes ratios only. What was measured once, such as bytes, counts
from a twentieth on.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from miniagent_store.bench.figures import OURS, SEALED, Figure, Result

DRAWS, CONFIDENCE = 1_000, 0.99
MARGIN, EXACT_MARGIN = 0.10, 0.05
# Fewer ratios than this say nothing of noise.
LEAST_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Change:
    """How one figure changed.

    Attributes:
        figure: the newer one.
        old, new: medians, of ratios where `by_ratio`, else in the figure's unit.
        by_ratio: whether ratios were compared too.
        factor: how many times worse it is, by ratio where there is one; below 1 it is better.
        low, high: between these the factor is, with 99 % confidence, by times and by ratios.
    """

    figure: Figure
    old: float
    new: float
    by_ratio: bool
    factor: float
    low: float
    high: float

    @property
    def exact(self) -> bool:
        """Whether it was measured once, and has no noise."""
        return len(self.figure.samples) == 1

    @property
    def worse(self) -> bool:
        return self.low > 1 + (EXACT_MARGIN if self.exact else MARGIN)

    @property
    def better(self) -> bool:
        return self.high < 1 / (1 + (EXACT_MARGIN if self.exact else MARGIN))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        area, place, subject, operation, length, tasks = self.figure.key
        return {
            "area": area,
            "place": place,
            "subject": subject,
            "operation": operation,
            "length": length,
            "tasks": tasks,
            "old": self.old,
            "new": self.new,
            "by_ratio": self.by_ratio,
            "factor": self.factor,
            "between": [self.low, self.high],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two results beside each other.

    Attributes:
        changes: of each figure of this package that both have, the worst first.
        differences: in what machines, versions and plans differ, so that the comparison may be none.
    """

    changes: tuple[Change, ...]
    differences: tuple[str, ...]

    @property
    def worse(self) -> list[Change]:
        return [each for each in self.changes if each.worse]

    @property
    def better(self) -> list[Change]:
        return [each for each in self.changes if each.better]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "compared": len(self.changes),
            "worse": [each.to_dict() for each in self.worse],
            "better": [each.to_dict() for each in self.better],
            "differences": list(self.differences),
        }


def compare(old: Result, new: Result) -> Comparison:
    """Compare what both have measured of this package."""
    before = {figure.key: figure for figure in old.figures}
    # Seeded, so that the same two files always give the same answer.
    random = Random(1)
    changes = [
        _change(before[figure.key], figure, random)
        for figure in new.figures
        if figure.subject in {OURS, SEALED}
        and figure.key in before
        and before[figure.key].unit == figure.unit
    ]
    changes.sort(key=lambda each: each.factor, reverse=True)
    return Comparison(tuple(changes), tuple(_differences(old, new)))


def _change(old: Figure, new: Figure, random: Random) -> Change:
    worse = _lower if new.better == "higher" else _higher
    by_ratio = min(len(old.ratios), len(new.ratios)) >= LEAST_SAMPLES
    before, after = (old.ratios, new.ratios) if by_ratio else (old.samples, new.samples)
    spans = [_span(old.samples, new.samples, worse, random)]
    if by_ratio:
        spans.append(_span(before, after, worse, random))
    was, now = statistics.median(before), statistics.median(after)
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    return Change(new, was, now, by_ratio, worse(was, now), low, high)


def _span(
    old: Sequence[float], new: Sequence[float], worse: Callable[[float, float], float], random: Random
) -> tuple[float, float]:
    """Between what the medians' factor is."""
    drawn = sorted(worse(_draw(old, random), _draw(new, random)) for _ in range(DRAWS))
    tail = round(DRAWS * (1 - CONFIDENCE) / 2)
    return drawn[tail], drawn[-1 - tail]


def _draw(samples: Sequence[float], random: Random) -> float:
    return statistics.median(random.choices(samples, k=len(samples)))


def _higher(old: float, new: float) -> float:
    if new == old:
        return 1.0
    return new / old if old else float("inf")


def _lower(old: float, new: float) -> float:
    return _higher(new, old)


def _differences(old: Result, new: Result) -> list[str]:
    told: list[str] = []
    what: list[tuple[str, Callable[[Result], Any]]] = [
        ("processor", lambda result: result.machine.get("processor")),
        ("cores", lambda result: result.machine.get("cores")),
        ("memory", lambda result: round((result.machine.get("memory") or 0) / 2**30)),
        ("Python", lambda result: result.machine.get("python")),
        ("plan", lambda result: result.plan),
        *(
            (place, lambda result, place=place: result.servers[place])
            for place in sorted(old.servers.keys() & new.servers.keys())
        ),
    ]
    for name, value in what:
        if (was := value(old)) != (now := value(new)):
            told.append(f"{name}: {was}, now {now}")
    return told
