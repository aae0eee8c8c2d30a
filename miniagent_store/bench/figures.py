"""What was measured, as values that can be kept in a file."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from miniagent_store.errors import InvalidArgumentError

FORMAT = 1
OURS = "miniagent-store"
SEALED = "miniagent-store, sealed"
BY_HAND = "hand-written"
Better = Literal["lower", "higher"]
Key = tuple[str, str, str, str, int | None, int | None]


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle half of some numbers."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Self:
        """Quartiles of at least one number."""
        if len(samples) == 1:
            return cls(samples[0], samples[0], samples[0])
        low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
        return cls(low, median, high)


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured, round by round.

    Attributes:
        area: what sort of thing, such as "operations".
        place: where, such as "redis"; "" where it does not matter.
        subject: who did it: this package, hand-written code, or a peer.
        operation: what was done.
        unit: of the samples.
        samples: one a round.
        ratios: each sample by that of hand-written code in the same round; empty where there is none.
        length: messages of the history; None where it does not matter.
        tasks: how many worked at once; None where it does not matter.
        better: whether lower or higher numbers are better.
    """

    area: str
    place: str
    subject: str
    operation: str
    unit: str
    samples: tuple[float, ...]
    ratios: tuple[float, ...] = ()
    length: int | None = None
    tasks: int | None = None
    better: Better = "lower"

    @property
    def key(self) -> Key:
        """What makes two figures of two runs comparable."""
        return self.area, self.place, self.subject, self.operation, self.length, self.tasks

    @property
    def spread(self) -> Spread:
        """Of the samples."""
        return Spread.of(self.samples)

    @property
    def ratio(self) -> Spread | None:
        """Of the ratios; None where there are none."""
        return Spread.of(self.ratios) if self.ratios else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the spreads stand beside the samples for who reads the file."""
        found: dict[str, Any] = {
            "area": self.area,
            "place": self.place,
            "subject": self.subject,
            "operation": self.operation,
            "length": self.length,
            "tasks": self.tasks,
            "unit": self.unit,
            "better": self.better,
            "median": _short(self.spread.median),
            "quartiles": [_short(self.spread.low), _short(self.spread.high)],
        }
        if (ratio := self.ratio) is not None:
            found["ratio"] = _short(ratio.median)
            found["ratio_quartiles"] = [_short(ratio.low), _short(ratio.high)]
            found["ratios"] = [_short(each) for each in self.ratios]
        found["samples"] = [_short(each) for each in self.samples]
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The opposite of `to_dict`."""
        return cls(
            area=str(data["area"]),
            place=str(data["place"]),
            subject=str(data["subject"]),
            operation=str(data["operation"]),
            unit=str(data["unit"]),
            samples=_numbers(data["samples"], least=1),
            ratios=_numbers(data.get("ratios", ())),
            length=_count(data.get("length")),
            tasks=_count(data.get("tasks")),
            better="higher" if data.get("better") == "higher" else "lower",
        )


@dataclass(frozen=True, slots=True)
class Result:
    """All that one run measured, and where.

    Attributes:
        plan: "full" or "quick".
        date: when it began, in ISO 8601.
        seed: of the order in which things took their turns.
        machine: processor, cores, memory, system, Python.
        packages: versions by name.
        servers: kind and version of the server of each place.
        commit: of the package, where it is a checkout of git; else None.
        notes: what could not be measured, and why.
        figures: what was measured.
    """

    plan: str
    date: str
    seed: int
    machine: Mapping[str, Any]
    packages: Mapping[str, str]
    servers: Mapping[str, str]
    commit: str | None
    notes: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "format": FORMAT,
            "plan": self.plan,
            "date": self.date,
            "seed": self.seed,
            "machine": dict(self.machine),
            "packages": dict(self.packages),
            "servers": dict(self.servers),
            "commit": self.commit,
            "notes": list(self.notes),
            "figures": [each.to_dict() for each in self.figures],
        }

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """The opposite of `to_dict`.

        Raises:
            InvalidArgumentError: it is not a result, or one of another format.
        """
        if not isinstance(data, Mapping) or "figures" not in data:
            raise InvalidArgumentError("no result of a benchmark; make one with: bench --json FILE")
        if data.get("format") != FORMAT:
            raise InvalidArgumentError(
                f"a result of format {data.get('format')}, where {FORMAT} is read; measure again"
            )
        try:
            return cls(
                plan=str(data["plan"]),
                date=str(data["date"]),
                seed=int(data["seed"]),
                machine=dict(data["machine"]),
                packages=dict(data["packages"]),
                servers=dict(data["servers"]),
                commit=data["commit"],
                notes=tuple(data["notes"]),
                figures=tuple(Figure.from_dict(each) for each in data["figures"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise InvalidArgumentError(f"a damaged result of a benchmark: {problem!r}") from None


def _numbers(values: Any, *, least: int = 0) -> tuple[float, ...]:
    numbers = tuple(float(each) for each in values)
    if len(numbers) < least or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{least} or more finite numbers are needed")
    return numbers


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


def _short(number: float) -> float:
    """Five digits are more than can be measured."""
    return float(f"{number:.5g}")
