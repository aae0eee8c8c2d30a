"""Moments as people type them: "2h", "7d", "2030-01-31"."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.options import parse_duration


def moment(text: str) -> datetime | None:
    """A duration back from now, or a date or time, which is UTC without a zone; None if it is neither."""
    try:
        return datetime.now(UTC) - timedelta(seconds=parse_duration(text))
    except (InvalidArgumentError, OverflowError):
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


class MomentType(click.ParamType[datetime]):
    """A `moment`."""

    name = "when"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        found = moment(value)
        if found is None:
            self.fail(
                f"{value!r} is no moment; write how long ago (2h, 7d) or a date (2030-01-31, UTC)",
                param,
                ctx,
            )
        return found


MOMENT = MomentType()
