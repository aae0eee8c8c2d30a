"""Usage counted from commits: gathered for a second, then added to counters in one commit a user."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from contextvars import Context
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from miniagent_store.backend import (
    CommitResult,
    Create,
    ReadPlan,
    StateAdd,
    StateDelete,
    StateScan,
    Truncate,
)
from miniagent_store.cancellation import to_the_end
from miniagent_store.errors import OutcomeUnknownError, StoreError
from miniagent_store.ids import join_id
from miniagent_store.store.draft import CommitDraft, DraftEntry
from miniagent_store.store.retrying import IN_DOUBT
from miniagent_store.usage_report import COUNTS
from miniagent_store.values import MESSAGES, from_ms

if TYPE_CHECKING:
    from miniagent_store.store.core import StoreCore

logger: logging.Logger = logging.getLogger("miniagent_store")
USAGE_OPERATION = "usage"
KIND = "usage"
# A crash loses what was counted since the last write, so this many seconds at most.
GATHERED = 1.0
KEPT_DAYS = 400
DAY_MS = 86_400_000
USERS_AT_ONCE = 16
# How many ids of callers are remembered, so that what is asked again is counted once.
REMEMBERED = 10_000
# More tokens than any message has: a number that is not meant.
MAX_TOKENS = 10**9
Counts = dict[tuple[str, str, str], int]


def record_id(user_id: str | None) -> str:
    """The id of the record that has the usage of a user; of sessions without one, for None."""
    return join_id(KIND, user_id or "")


def tokens_of(message: Mapping[str, Any]) -> tuple[int, int, int]:
    """Input, output and all tokens that a message tells of; zeros where it tells nothing.

    Looked for in its ``usage``, else in ``metadata["usage"]``: ``input_tokens`` or ``prompt_tokens``,
    ``output_tokens`` or ``completion_tokens``, and ``total_tokens``, else their sum. Without a usage,
    ``tokens`` or ``metadata["tokens"]`` is the sum.

    Example:
        >>> tokens_of({"metadata": {"usage": {"prompt_tokens": 5, "completion_tokens": 2}}})
        (5, 2, 7)
        >>> tokens_of({"tokens": 7})
        (0, 0, 7)
    """
    metadata = message.get("metadata")
    places = [message, metadata] if isinstance(metadata, Mapping) else [message]
    for place in places:
        usage = place.get("usage")
        if isinstance(usage, Mapping):
            into = _number(usage, "input_tokens") or _number(usage, "prompt_tokens")
            out = _number(usage, "output_tokens") or _number(usage, "completion_tokens")
            return into, out, _number(usage, "total_tokens") or into + out
    return 0, 0, next(filter(None, (_number(place, "tokens") for place in places)), 0)


def _number(place: Mapping[str, Any], name: str) -> int:
    value = place.get(name)
    counts = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS
    return value if counts else 0  # type: ignore[return-value]


@dataclass(slots=True)
class _Write:
    """Counts of one user on their way; with a commit id once their outcome was in doubt."""

    user_id: str | None
    counts: Counts = field(default_factory=lambda: defaultdict(int))
    commit_id: str | None = None


class UsageCounter:
    """Counts messages, turns and tokens of conversations, by day (UTC), user and agent.

    Counting is O(1) a message and reads nothing. A commit is counted when it is answered; asked again under
    the caller's id it is not counted again.

    Args:
        core: of the store whose commits are counted.
    """

    def __init__(self, core: StoreCore) -> None:
        self._core = core
        self._gathered: dict[str | None, _Write] = {}
        self._again: list[_Write] = []
        self._seen: OrderedDict[Any, None] = OrderedDict()
        self._looked_at: dict[str | None, str] = {}
        self._day = 0, ""
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._closing = False

    def count(self, result: CommitResult, draft: CommitDraft, commit_id: str | None) -> None:
        """Count what a commit appended.

        Args:
            result: its answer.
            draft: what it was.
            commit_id: the caller's, if one was given.
        """
        record = result.record
        if record.kind != "session" or not draft.changes:
            return
        if commit_id is not None and not self._is_first(result, commit_id):
            return
        entries = self._new_entries(result, draft)
        if not entries:
            return
        write = self._gathered.get(record.user_id)
        if write is None:
            write = self._gathered[record.user_id] = _Write(record.user_id)
        day, agent = self.today(), record.agent or ""
        counts = write.counts
        counts[day, "messages", agent] += len(entries)
        if any(entry.value.get("role") == "user" for entry in entries):
            counts[day, "turns", agent] += 1
        for entry in entries:
            for name, number in zip(COUNTS[2:], tokens_of(entry.value), strict=True):
                if number:
                    counts[day, name, agent] += number
        self._schedule()

    def today(self) -> str:
        """The day by the backend's clock, UTC, in ISO 8601."""
        number = self._core.backend.now_ms() // DAY_MS
        if number != self._day[0]:
            self._day = number, from_ms(number * DAY_MS).date().isoformat()
        return self._day[1]

    def _is_first(self, result: CommitResult, commit_id: str) -> bool:
        """Whether a commit under a caller's id has not been counted before."""
        known = self._remember(commit_id.removesuffix(IN_DOUBT))
        # Whoever got an error that leaves it in doubt has not counted it.
        return not known and (not result.replayed or commit_id.endswith(IN_DOUBT))

    def _new_entries(self, result: CommitResult, draft: CommitDraft) -> list[DraftEntry]:
        """The messages that a commit has added; what `replace` writes anew was counted before."""
        if any(isinstance(change, Truncate) for change in draft.changes):
            return []
        entries = [entry for entry in draft.entries if entry.log == MESSAGES]
        if not any(entry.caller_id for entry in entries):
            return entries
        pairs = zip(draft.entries, result.outcome.sequences, strict=False)
        sequences = (seq for entry, seq in pairs if entry.log == MESSAGES)
        # What was added is at the end of the log: a message whose id stood further up was there before.
        lowest = 0 if result.replayed else result.record.tail(MESSAGES).last - len(entries)
        return [
            entry
            for entry, seq in zip(entries, sequences, strict=True)
            if seq > lowest
            and not (
                entry.caller_id
                and self._remember((draft.session_id, result.record.incarnation, entry.caller_id))
            )
        ]

    def _remember(self, what: Any) -> bool:
        """Whether it was seen before."""
        if what in self._seen:
            self._seen.move_to_end(what)
            return True
        self._seen[what] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False

    # Writing

    def _schedule(self) -> None:
        if self._timer is None and not self._closing and (self._task is None or self._task.done()):
            # In a context of its own: it is no part of the operation that is under way.
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(GATHERED, self._start, context=Context())

    def _start(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._write_now())

    async def _write_now(self) -> None:
        await self.write()
        if self._gathered or self._again:
            self._task = None
            self._schedule()

    async def write(self) -> None:
        """Write what was gathered; what cannot be written now is kept for the next time."""
        await to_the_end(self._write_all())

    async def _write_all(self) -> None:
        async with self._writing:
            writes = [*self._again, *self._gathered.values()]
            self._again, self._gathered = [], {}
            for start in range(0, len(writes), USERS_AT_ONCE):
                await asyncio.gather(*map(self._write, writes[start : start + USERS_AT_ONCE]))

    async def close(self) -> None:
        """Write the rest. What cannot be written is lost, and said to be."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        await self.write()
        lost = [*self._again, *self._gathered.values()]
        if lost:
            logger.error("usage of %d users could not be written and is lost", len(lost))

    async def _write(self, write: _Write) -> None:
        core = self._core
        draft = CommitDraft(record_id(write.user_id))
        draft.state.extend(StateAdd("/".join(key), number) for key, number in sorted(write.counts.items()))
        create = Create(kind=KIND, user_id=write.user_id, ttl_ms=KEPT_DAYS * DAY_MS, keep_existing=True)
        try:
            if write.commit_id is None:
                draft.state[:0] = await self._old_days(write)
            await core.commit(draft, operation=USAGE_OPERATION, create=create, commit_id=write.commit_id)
        except OutcomeUnknownError as error:
            if error.final:
                logger.error("usage of one user may not have been written: %s", error)
            else:
                write.commit_id = error.commit_id
                self._again.append(write)
        except StoreError as error:
            logger.warning("usage could not be written, and is tried again: %s", error)
            self._put_back(write)
        except Exception:
            logger.exception("usage could not be written, and is tried again")
            self._put_back(write)

    def _put_back(self, write: _Write) -> None:
        if write.commit_id is not None:
            self._again.append(write)
            return
        later = self._gathered.setdefault(write.user_id, write)
        if later is not write:
            for key, number in write.counts.items():
                later.counts[key] += number

    async def _old_days(self, write: _Write) -> list[StateDelete]:
        """Counters that are too old, looked for when a user comes on a new day."""
        today = max(day for day, _, _ in write.counts)
        if self._looked_at.get(write.user_id) == today:
            return []
        if len(self._looked_at) >= REMEMBERED:
            self._looked_at.clear()
        self._looked_at[write.user_id] = today
        oldest = date.fromordinal(date.fromisoformat(today).toordinal() - KEPT_DAYS + 1).isoformat()
        scan = StateScan("", limit=KEPT_DAYS)
        result = await self._core.read(ReadPlan(record_id(write.user_id), scans=(scan,)))
        values = result.scans[0] if result.record is not None else ()
        return [StateDelete(value.name) for value in values if value.name < oldest]
