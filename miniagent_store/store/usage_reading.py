"""The report of what `usage.UsageCounter` has written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from miniagent_store.backend import ListQuery, ListResult, ReadPlan, StateScan
from miniagent_store.errors import InvalidArgumentError, shorten
from miniagent_store.ids import check_id
from miniagent_store.store.usage import KIND, record_id
from miniagent_store.usage_report import COUNTS, Usage, UsageReport, UsageRow

if TYPE_CHECKING:
    from miniagent_store.store.core import StoreCore

PAGE = 500


async def read_usage(
    core: StoreCore, user_id: str | None, since: date | str | None, until: date | str | None
) -> UsageReport:
    """The report; see `SessionStore.usage`."""
    first, last = _day(since, "since"), _day(until, "until")
    await core.ready()
    if core.usage is not None:
        await core.usage.write()
    rows: list[UsageRow] = []
    if user_id is not None:
        user = check_id(user_id, what="user id") if user_id else None
        rows += await _rows_of(core, record_id(user), user, first, last)
    else:
        async for record, user in _records(core):
            rows += await _rows_of(core, record, user, first, last)
    return UsageReport(tuple(sorted(rows, key=lambda row: (row.day, row.user_id or "", row.agent or ""))))


async def _records(core: StoreCore) -> AsyncIterator[tuple[str, str | None]]:
    """Ids of all records with usage, and whose they are; those that move while we turn pages once."""
    seen: set[str] = set()
    query: ListQuery | None = ListQuery(kind=KIND, limit=PAGE)
    while query is not None:
        page = await _page(core, query)
        for record in page.records:
            if record.session_id not in seen:
                seen.add(record.session_id)
                yield record.session_id, record.user_id
        query = None if page.next_cursor is None else replace(query, cursor=page.next_cursor)


async def _page(core: StoreCore, query: ListQuery) -> ListResult:
    return await core.retrying.attempt("list", "", lambda _: core.backend.list(query))


async def _rows_of(
    core: StoreCore, record: str, user: str | None, first: str | None, last: str | None
) -> list[UsageRow]:
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    result = await core.read(ReadPlan(record, scans=(StateScan("", first),)))
    values = result.scans[0] if result.record is not None else ()
    for value in values:
        day, count, agent = value.name.split("/", 2)
        if (last is None or day <= last) and count in COUNTS:
            found[day, agent][count] = value.counter or 0
    return [
        UsageRow(date.fromisoformat(day), user, agent or None, Usage(**counts))
        for (day, agent), counts in found.items()
    ]


def _day(value: date | str | None, what: str) -> str | None:
    """A day in ISO 8601.

    Raises:
        InvalidArgumentError: it is none.
    """
    if value is None:
        return None
    if isinstance(value, datetime):
        value = value.date()
    try:
        return (value if isinstance(value, date) else date.fromisoformat(value)).isoformat()
    except (ValueError, TypeError):
        problem = shorten(str(value))
    raise InvalidArgumentError(f"{what} is a day such as 2030-01-31, not {problem!r}")
