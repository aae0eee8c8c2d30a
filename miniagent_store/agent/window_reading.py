"""Of a session, what its context window needs, and no more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from miniagent_store.agent.compaction import SUMMARY, Compaction, Summary, first_change, standing_summary
from miniagent_store.agent.context_window import ContextWindow
from miniagent_store.store.batch import Batch
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import MESSAGES, Entry, Message, Position, Snapshot

logger: logging.Logger = logging.getLogger("miniagent_store")
PINNED = "agent.pinned"
FIRST_PAGE, LAST_PAGE = 64, 512
# The record of pinned messages is written again when it is so many messages behind.
BEHIND = 32
# At most one of so many parts of a window is summary.
SHARE_OF_A_SUMMARY = 4


@dataclass(frozen=True, slots=True)
class WindowView:
    """What a model may see of a session.

    Attributes:
        snapshot: the record and the last messages.
        summary: as a message; empty if there is none.
        pinned: the pinned messages.
        history: the last messages that neither of these covers.
        sequences: of the history.
    """

    snapshot: Snapshot
    summary: list[Message]
    pinned: list[Message]
    history: list[Message]
    sequences: list[int]
    record: _Pinned

    @property
    def pinned_sequences(self) -> Collection[int]:
        """Of the pinned messages."""
        return self.record.messages.keys()

    def write(self, batch: Batch) -> None:
        """Note what was found, so that the next turn need not look for it again."""
        if self.record.is_behind:
            batch.state.set(PINNED, self.record.to_dict())


@dataclass(slots=True)
class _Pinned:
    """The pinned messages of a log up to a sequence."""

    messages: dict[int, Mapping[str, Any]]
    seen: int
    position: Position
    system: bool
    is_behind: bool = False

    def as_messages(self) -> list[Message]:
        return [Message.from_dict(message) for message in self.messages.values()]

    def to_dict(self) -> dict[str, Any]:
        messages = [[seq, dict(message)] for seq, message in self.messages.items()]
        return {
            "messages": messages,
            "seen": self.seen,
            "position": str(self.position),
            "system": self.system,
        }


async def read_window(
    store: SessionStore,
    session_id: str,
    window: ContextWindow,
    compaction: Compaction | None,
    *,
    taken: int = 0,
) -> WindowView:
    """Read what the window needs, and have a summary made of what it no longer holds.

    Args:
        store, session_id: the session.
        window: what the model may see.
        compaction: how what it may not see is summarised. A failure is logged, and it is tried again in a
            later turn.
        taken: tokens of the window that the prompts and the question take.

    Raises:
        SessionNotFoundError: there is no such session.
    """
    last = FIRST_PAGE if window.messages is None else window.messages
    snapshot = await store.snapshot(session_id, last=last, state=(PINNED, SUMMARY))
    position, tail = snapshot.position, list(snapshot.logs[MESSAGES])
    pinned = await _pinned(store, session_id, window, snapshot, tail)
    summary = None
    if compaction is not None:
        summary = await standing_summary(store, session_id, snapshot.state, position)
    reading = _Reading(store, session_id, window, pinned, taken, tail)
    overflows = await reading.extend(summary, beyond=compaction is not None)
    if compaction is not None and overflows and not compaction.is_paused:
        try:
            async with asyncio.timeout(compaction.timeout):
                summary = await reading.compact(compaction, summary)
        except Exception:
            # The turn goes on with what fits; nothing is lost but the memory of what does not.
            compaction.note_failure()
            logger.warning("a summary failed, and will be tried again in a later turn", exc_info=True)
    covered = summary.upto if summary is not None else 0
    entries = reading.unpinned(covered)
    return WindowView(
        snapshot,
        [summary.message] if summary is not None and summary.text else [],
        pinned.as_messages(),
        [each.message for each in entries],
        [each.seq for each in entries],
        pinned,
    )


@dataclass(slots=True)
class _Reading:
    """The tail of a log, which grows backwards."""

    store: SessionStore
    session_id: str
    window: ContextWindow
    pinned: _Pinned
    taken: int
    tail: list[Entry]

    def unpinned(self, covered: int) -> list[Entry]:
        """What stands behind a summary, and is not pinned."""
        standing = (each for each in self.tail if each.seq > covered and not each.redacted)
        return [each for each in standing if each.seq not in self.pinned.messages]

    def room(self, summary: Summary | None) -> int | None:
        """How many tokens the history may take."""
        if self.window.tokens is None:
            return None
        always = [summary.message] if summary is not None else []
        return self.window.tokens - self.taken - self.window.count([*self.pinned.as_messages(), *always])

    async def extend(self, summary: Summary | None, *, beyond: bool) -> bool:
        """Read backwards until the window is full; whether there is more than fits.

        Args:
            summary: of what needs not be read.
            beyond: whether to look if there is more when a number of messages is full.
        """
        room, limit, page = self.room(summary), self.window.messages, FIRST_PAGE
        covered = summary.upto if summary is not None else 0
        new = self.unpinned(covered)
        messages = tokens = 0
        while True:
            messages += len(new)
            tokens += self.window.count(each.message for each in new)
            if room is not None and tokens > room:
                return True
            if limit is not None and (messages > limit or (messages == limit and not beyond)):
                return True
            first = self.tail[0].seq if self.tail else 0
            if first <= covered + 1:
                return False
            older = await self.store.entries(self.session_id, before=first, last=page)
            if not older:
                return False
            self.tail, page = [*older, *self.tail], min(2 * page, LAST_PAGE)
            new = [each for each in self.unpinned(covered) if each.seq < first]

    async def compact(self, compaction: Compaction, summary: Summary | None) -> Summary | None:
        """A summary of all but the last messages, which stay as they were said."""
        room, limit = self.room(summary), self.window.messages
        if room is not None and room <= 0:
            return summary  # whatever is summarised, it would not be seen
        if room is not None and summary is None:
            room -= min(compaction.max_tokens, room // SHARE_OF_A_SUMMARY)
        covered = summary.upto if summary is not None else 0
        entries = self.unpinned(covered)
        kept, tokens = len(entries), 0
        while kept:
            tokens += self.window.counter(entries[kept - 1].message)
            if (room is not None and tokens > compaction.keep * room) or (
                limit is not None and len(entries) - kept + 1 > compaction.keep * limit
            ):
                break
            kept -= 1
        while kept < len(entries) and entries[kept].message.tool_call_id:
            kept += 1  # results go where their calls go
        if not kept:
            return summary
        sizes = {}
        if room is not None and self.window.tokens is not None:
            chunk, most = self.window.tokens // 2, self.window.tokens // SHARE_OF_A_SUMMARY
            sizes = {"chunk_tokens": max(chunk, 1), "summary_tokens": max(most, 1)}
        return await compaction.compact(
            self.store,
            self.session_id,
            upto=entries[kept - 1].seq,
            counter=self.window.counter,
            skip=self.window.pins,
            **sizes,
        )


async def _pinned(
    store: SessionStore, session_id: str, window: ContextWindow, snapshot: Snapshot, tail: list[Entry]
) -> _Pinned:
    """The pinned messages: those that are on record, and those of what was added since."""
    now = snapshot.position
    pinned = _Pinned({}, 0, now, window.pin_system)
    stored = snapshot.state.get(PINNED)
    if stored is not None and stored["system"] == window.pin_system:
        changed = await first_change(store, session_id, Position.parse(stored["position"]), now)
        pinned.seen = stored["seen"] if changed is None else min(stored["seen"], changed - 1)
        pinned.messages = {seq: message for seq, message in stored["messages"] if seq <= pinned.seen}
        pinned.is_behind = changed is not None
    known, before = pinned.seen, len(pinned.messages)
    first = tail[0].seq if tail else now.seq() + 1
    while pinned.seen < first - 1:
        page = await store.entries(session_id, after=pinned.seen, before=first, limit=LAST_PAGE)
        _note(pinned, window, page)
        if len(page) < LAST_PAGE:
            break
    _note(pinned, window, tail)
    pinned.seen = max(pinned.seen, now.seq())
    pinned.is_behind |= len(pinned.messages) != before or pinned.seen - known > BEHIND
    return pinned


def _note(pinned: _Pinned, window: ContextWindow, entries: list[Entry]) -> None:
    for entry in entries:
        if entry.seq > pinned.seen:
            pinned.seen = entry.seq
            if not entry.redacted and window.pins(entry.message):
                pinned.messages[entry.seq] = dict(entry.value)
