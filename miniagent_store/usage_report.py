"""What was used, a day and user: values that `SessionStore.usage` returns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts.

    Attributes:
        messages: appended to logs "messages" of conversations.
        turns: commits that appended something a user said.
        input_tokens, output_tokens: as messages tell them.
        tokens: all of them; more than input and output where messages tell only a sum.
    """

    messages: int = 0
    turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, name) + getattr(other, name) for name in COUNTS))


COUNTS = tuple(each.name for each in fields(Usage))


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The usage of one user on one day (UTC), through one agent.

    Attributes:
        user_id, agent: of the sessions; None for those that have none.
    """

    day: date
    user_id: str | None
    agent: str | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Usage by day, user and agent; `str()` is a table to read.

    Attributes:
        rows: in the order of days, users and agents.
    """

    rows: tuple[UsageRow, ...] = ()

    def __iter__(self) -> Iterator[UsageRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def total(self) -> Usage:
        """All together."""
        return sum((row.usage for row in self.rows), Usage())

    @property
    def by_day(self) -> dict[date, Usage]:
        """By day, the first one first."""
        return self._grouped(lambda row: row.day)

    @property
    def by_user(self) -> dict[str | None, Usage]:
        """By user, whoever used most tokens first, then most messages."""
        grouped = self._grouped(lambda row: row.user_id)
        return dict(
            sorted(grouped.items(), key=lambda pair: (-pair[1].tokens, -pair[1].messages, pair[0] or ""))
        )

    def _grouped(self, key: Callable[[UsageRow], Any]) -> dict[Any, Usage]:
        groups: dict[Any, Usage] = defaultdict(Usage)
        for row in self.rows:
            groups[key(row)] += row.usage
        return dict(groups)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; days in ISO 8601."""
        return {
            "rows": [
                {
                    "day": row.day.isoformat(),
                    "user_id": row.user_id,
                    "agent": row.agent,
                    **asdict(row.usage),
                }
                for row in self.rows
            ],
            "total": asdict(self.total),
        }

    def __str__(self) -> str:
        if not self.rows:
            return "no usage"
        lines = [("day", "user", "agent", *(name.replace("_", " ") for name in COUNTS))]
        lines += [
            (row.day.isoformat(), _shown(row.user_id), _shown(row.agent), *_numbers(row.usage))
            for row in self.rows
        ]
        lines.append(("total", "", "", *_numbers(self.total)))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                text.ljust(width) if place < 3 else text.rjust(width)
                for place, (text, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )


def _shown(name: str | None) -> str:
    return "-" if name is None else name


def _numbers(usage: Usage) -> list[str]:
    return [f"{getattr(usage, name):,}" for name in COUNTS]
