"""Two points of a log, or two sessions, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from starlette.requests import Request
from starlette.responses import Response

from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError
from miniagent_store.store.inspection import InspectedValue, Inspection
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import MESSAGES
from miniagent_store.web.acting.forking import number_of
from miniagent_store.web.asked import rendering_of, store_of
from miniagent_store.web.comparing import Extent, Pair, Piece, common, paired, text_of, words
from miniagent_store.web.plain import json_of
from miniagent_store.web.reading import read

# Entries of each side behind the common part, and of the common part to know it by.
SHOWN, KNOWN_BY = 100, 2
VALUES = 500
# So many that are the same between two differences are shown.
UNFOLDED = 2


@dataclass(frozen=True, slots=True)
class Row:
    """A pair with its texts, in pieces."""

    pair: Pair
    left: Sequence[Piece]
    right: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Run:
    """Rows of which all are the same on both sides, or none is."""

    rows: Sequence[Row]
    folded: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A value of the state that is not the same on both sides; None where it is not there."""

    name: str
    left: str | None
    right: str | None


async def page(request: Request) -> Response:
    """``id=`` up to ``at=`` beside ``with=`` up to ``with_at=``, which is the same session if not given."""
    asked = request.query_params
    fields = {name: asked.get(name, "").strip() for name in ("id", "at", "with", "with_at", "log")}
    fields["log"] = fields["log"] or MESSAGES
    skip = number_of(asked.get("skip", ""), "skip") or 0
    found, problem = None, ""
    if fields["id"] and (fields["at"] or fields["with"] or fields["with_at"]):
        try:
            found = await _compared(store_of(request), fields, skip)
        except (InvalidArgumentError, SessionNotFoundError) as error:
            # What was typed is still there to be mended.
            problem = str(error)
    response = rendering_of(request).page(
        request,
        "compare.html",
        fields=fields,
        found=found,
        problem=problem,
        skip=skip,
        shown=SHOWN,
    )
    response.status_code = 400 if problem else 200
    return response


async def _compared(store: SessionStore, fields: Mapping[str, str], skip: int) -> Mapping[str, object]:
    log, other = fields["log"], fields["with"] or fields["id"]
    ours, left = await _side(store, fields["id"], log, fields["at"])
    theirs, right = await _side(store, other, log, fields["with_at"])
    same = await common(store, log, left, right)
    rest = [
        await read(store, each.session_id, log, low, min(each.last, low + SHOWN))
        for each in (left, right)
        for low in [each.first - 1 + same + skip]
    ]
    known = await read(
        store, left.session_id, log, left.first - 1 + max(0, same - KNOWN_BY), left.first - 1 + same
    )
    return {
        "sides": (ours.session, theirs.session),
        "extents": (left, right),
        "same": same,
        "known": [(each, text_of(each)) for each in known] if not skip else [],
        "runs": [_run(list(run)) for _, run in groupby(paired(*rest), lambda pair: pair.mark == "same")],
        "more": max(left.count, right.count) - same - skip - SHOWN,
        "changes": [] if other == fields["id"] else _changes(ours.values, theirs.values),
    }


async def _side(store: SessionStore, session_id: str, log: str, at: str) -> tuple[Inspection, Extent]:
    """A session, and its log up to a point."""
    seen = await store.inspect(session_id, log=log, last=0, values=VALUES)
    first, last = seen.logs.get(log, (1, 0))
    upto = number_of(at, "a point of a log")
    return seen, Extent(session_id, first, last if upto is None else min(last, upto))


def _run(pairs: Sequence[Pair]) -> Run:
    return Run([*map(_row, pairs)], folded=pairs[0].mark == "same" and len(pairs) > UNFOLDED)


def _row(pair: Pair) -> Row:
    if pair.mark == "differs" and pair.left and pair.right:
        return Row(pair, *words(pair.left, pair.right))
    left, right = ([Piece(text_of(each), True)] if each else [] for each in (pair.left, pair.right))
    return Row(pair, left, right)


def _changes(left: Sequence[InspectedValue], right: Sequence[InspectedValue]) -> list[Change]:
    ours, theirs = ({each.name: _shown(each) for each in side} for side in (left, right))
    return [
        Change(name, ours.get(name), theirs.get(name))
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]


def _shown(value: InspectedValue) -> str:
    return str(value.error) if value.error is not None else json_of(value.value, indent=2)
