"""Moments as people type them: "2h", "7d", "2030-01-31"."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.options import parse_duration


class MomentType(click.ParamType[datetime]):
    """A duration back from now, or a date or time; one without a zone is the machine's."""

    name = "when"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return datetime.now(UTC) - timedelta(seconds=parse_duration(value))
        except (InvalidArgumentError, OverflowError):
            pass
        try:
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no moment; write how long ago (2h, 7d) or a date (2030-01-31)",
                param,
                ctx,
            )


MOMENT = MomentType()
