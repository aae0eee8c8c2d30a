"""A part of a log, as a page shows it: read in one step, whatever of it is broken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from miniagent_store.store.inspection import InspectedEntry, Inspection
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import MESSAGES
from miniagent_store.web.conversation.blocks import Answer, Block, Said
from miniagent_store.web.conversation.damage import Damage, damage_of
from miniagent_store.web.conversation.prose import Prose
from miniagent_store.web.conversation.shapes import ROLES, said

# So many entries at once; and so many beside them are read to find the answers of tools, and their calls.
SHOWN, BESIDE = 60, 12


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of a log: one of the four, or the newest entries.

    Attributes:
        before, after: what comes next to these sequences.
        around: a sequence that is to be in the middle.
        at: the log as it stood when this was its last entry.
    """

    log: str = MESSAGES
    before: int | None = None
    after: int | None = None
    around: int | None = None
    at: int | None = None
    limit: int = SHOWN


@dataclass(frozen=True, slots=True)
class Joined:
    """An answer beside its call, or the place of the call.

    Attributes:
        seq: of the entry in which it is.
    """

    seq: int
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """One entry, or a gap.

    Attributes:
        seq, last: the sequences; more than one of a gap only.
        entry: as it is stored; None of a gap.
        said: what it says; None where that cannot be read, and of tombstones.
        damage: why it cannot be read.
        answers: by the id of a call in this entry.
        calls: where the calls are that this entry answers, by their ids.
    """

    seq: int
    last: int
    entry: InspectedEntry | None
    said: Said | None
    damage: Damage | None
    answers: dict[str, Joined]
    calls: dict[str, Joined]


@dataclass(frozen=True, slots=True)
class Range:
    """A part of a log.

    Attributes:
        log: which.
        inspection: of the session, at the same moment.
        shown: in order.
        low, high: the first and the last sequence of the log; `high` is less where it is empty.
    """

    log: str
    inspection: Inspection
    shown: tuple[Shown, ...]
    low: int
    high: int

    @property
    def first(self) -> int:
        """Of what is shown; one past the log's last where nothing is."""
        return self.shown[0].seq if self.shown else self.high + 1

    @property
    def last(self) -> int:
        return self.shown[-1].last if self.shown else self.high

    @property
    def count(self) -> int:
        return max(self.high - self.low + 1, 0)


async def read_range(
    store: SessionStore, session_id: str, wanted: Wanted, *, content: bool, values: int = 0
) -> Range:
    """A part of a log, as far as it can be read.

    Args:
        store: where it is.
        session_id: the session.
        wanted: which part; beyond the log's ends, what is next to it.
        content: show what was said.
        values: read so many values of the state too.

    Raises:
        SessionNotFoundError: there is none.
        SessionDamagedError: nothing of it can be read.
    """
    part = await _read(store, session_id, wanted, content, values)
    if part.shown or not part.count:
        return part
    # Beyond an end. Who goes on finds nothing there, who looks for a place what is nearest to it.
    nearest = _nearest(wanted, part.low, part.high)
    return part if nearest == wanted else await _read(store, session_id, nearest, content, values)


async def _read(store: SessionStore, session_id: str, wanted: Wanted, content: bool, values: int) -> Range:
    first, last, bounds = _bounds(wanted)
    found = await store.inspect(session_id, log=wanted.log, values=values, **bounds)
    low, high = found.logs.get(wanted.log, (1, 0))
    last = high if last is None else last
    first = last - wanted.limit + 1 if first is None else first
    return Range(wanted.log, found, _shown(found, first, last, content=content), low, high)


def _bounds(wanted: Wanted) -> tuple[int | None, int | None, dict[str, Any]]:
    """The first and last sequence to show, where they are known, and what to read."""
    limit = wanted.limit
    if wanted.at is not None:
        return wanted.at - limit + 1, wanted.at, {"before": wanted.at + 1, "last": limit + BESIDE}
    if wanted.before is not None:
        last = wanted.before - 1
        read = {"before": wanted.before + BESIDE, "last": limit + 2 * BESIDE}
        return wanted.before - limit, last, read
    after = wanted.after
    if wanted.around is not None:
        after = max(wanted.around - limit // 2, 0)
    if after is not None:
        beside = min(after, BESIDE)
        return after + 1, after + limit, {"after": after - beside, "limit": limit + beside + BESIDE}
    return None, None, {"last": limit + BESIDE}


def _nearest(wanted: Wanted, low: int, high: int) -> Wanted:
    if wanted.after is not None and wanted.after < low:
        return replace(wanted, after=low - 1)
    if wanted.before is not None and wanted.before > high:
        return replace(wanted, before=high + 1)
    if wanted.around is not None:
        return replace(wanted, around=min(max(wanted.around, low), high))
    if wanted.at is not None:
        return replace(wanted, at=min(max(wanted.at, low), high))
    return wanted


def _shown(found: Inspection, first: int, last: int, *, content: bool) -> tuple[Shown, ...]:
    prose = Prose()
    told = {
        each.seq: _said(each, prose, is_shown=first <= each.seq <= last) if content else _role(each)
        for each in found.entries
    }
    answers = {
        answer.id: Joined(seq, answer) for seq, each in told.items() if each for answer in each.answers
    }
    calls = {call.id: Joined(seq) for seq, each in told.items() if each for call in each.calls}
    shown = [
        Shown(
            each.seq,
            each.seq,
            each,
            (its := told[each.seq]),
            damage_of(each.error) if each.error else None,
            _those(answers, (call.id for call in its.calls)) if its else {},
            _those(calls, (answer.id for answer in its.answers)) if its else {},
        )
        for each in found.entries
        if first <= each.seq <= last
    ]
    for gap in found.gaps:
        if gap.last >= first and gap.first <= last:
            start, end = max(gap.first, first), min(gap.last, last)
            shown.append(Shown(start, end, None, None, damage_of(gap.error), {}, {}))
    return tuple(sorted(shown, key=lambda each: each.seq))


def _said(entry: InspectedEntry, prose: Prose, *, is_shown: bool) -> Said | None:
    if entry.value is None or entry.redacted:
        return None
    # Of those beside, only calls and answers are looked at.
    return said(entry.value, prose if is_shown else _unread)


def _unread(text: str) -> Block:
    return Block("note")


def _role(entry: InspectedEntry) -> Said | None:
    """Who speaks, and nothing of what is said."""
    if entry.value is None or entry.redacted:
        return None
    role = ROLES.get(str(entry.value.get("role")).lower(), "other")
    return Said(role, role)


def _those(joined: dict[str, Joined], ids: Iterable[str]) -> dict[str, Joined]:
    return {each: joined[each] for each in ids if each and each in joined}
