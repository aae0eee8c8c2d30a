"""What is new in a log, for a page that shows it: nothing lost and nothing twice, over cuts and all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

from miniagent_store.errors import StoreError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Position, SessionEvent
from miniagent_store.web.conversation.damage import damage_of
from miniagent_store.web.conversation.ranges import SHOWN, Range, Wanted, read_range
from miniagent_store.web.streaming import Sent

# A page that is further behind than this reads its part of the log anew.
FURTHEST = 240

Render = Callable[[Range], str]


class Tail:
    """Events of one page.

    ``entries`` has the HTML of entries that follow the last ones told, ``behind`` says that there are too
    many of them, ``reset`` from which sequence on the log is another one, ``log`` that another log has
    grown. The id of each is the position after it.

    Args:
        store: where the session is.
        session_id: the session.
        log: which one the page shows.
        content: show what was said.
        render: makes HTML of entries.
    """

    def __init__(
        self, store: SessionStore, session_id: str, log: str, *, content: bool, render: Render
    ) -> None:
        self._store, self._id, self._log = store, session_id, log
        self._content, self._render = content, render
        # The last sequence of the log that was told.
        self._told = 0

    async def events(self, after: Position) -> AsyncGenerator[Sent, None]:
        """All that happens after a position, until the session is gone."""
        self._told = after.seq(self._log)
        try:
            # Without the entries, which are read one by one here: one that is damaged must not end it.
            async for event in self._store.watch(self._id, after=after, entries=False):
                async for sent in self._of(event):
                    yield sent
        except StoreError as error:
            damage = damage_of(error)
            yield Sent("stopped", {"what": damage.what, "cure": damage.cure})

    async def _of(self, event: SessionEvent) -> AsyncGenerator[Sent, None]:
        here = event.position
        if here is None:
            yield Sent("gone", {"how": event.type})
        elif event.type == "reset" and event.log == self._log:
            self._told = min(self._told, (event.from_seq or 1) - 1)
            yield Sent("reset", {"from": event.from_seq}, str(here))
        elif event.type == "appended" and event.log == self._log:
            async for sent in self._entries(here):
                yield sent
        else:
            data = {"log": event.log, "last": here.seq(event.log or "")}
            kind = "log" if event.type in ("appended", "reset") else event.type
            yield Sent(kind, data, str(here))

    async def _entries(self, here: Position) -> AsyncGenerator[Sent, None]:
        last = here.seq(self._log)
        if last - self._told > FURTHEST:
            self._told = last
            yield Sent("behind", {"last": last}, str(here))
        while self._told < last:
            # Not further than this position: what comes behind it has an event of its own.
            wanted = Wanted(self._log, after=self._told, limit=min(last - self._told, SHOWN))
            part = await read_range(self._store, self._id, wanted, content=self._content)
            if not part.shown:
                return  # it was removed meanwhile, which the next event tells
            self._told = part.last
            yield Sent("entries", self._data(part), str(_at(here, self._log, self._told)))

    def _data(self, part: Range) -> dict[str, Any]:
        session = part.inspection.session
        return {
            "html": self._render(part),
            "last": part.last,
            "high": part.high,
            "version": session.version,
        }


def _at(position: Position, log: str, seq: int) -> Position:
    """A position short of another in one log."""
    return replace(position, sequences=tuple({**dict(position.sequences), log: seq}.items()))
