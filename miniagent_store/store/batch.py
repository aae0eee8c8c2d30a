"""Any number of changes to a session in one commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from miniagent_store.backend import (
    Clear,
    Create,
    Expected,
    ExpectedTail,
    Fence,
    Rewind,
    StateAdd,
    StateDelete,
    StateDeletePrefix,
    Trim,
    Truncate,
)
from miniagent_store.errors import InvalidArgumentError, StateTypeError
from miniagent_store.ids import check_id, check_name
from miniagent_store.options import TTL, parse_ttl_ms
from miniagent_store.rules.state_changes import INT64_MAX, INT64_MIN
from miniagent_store.store.core import StoreCore
from miniagent_store.store.draft import (
    CommitDraft,
    DraftRedaction,
    DraftValue,
    clean_metadata,
    clean_tags,
    draft_entry,
)
from miniagent_store.store.reading import check_count, check_log
from miniagent_store.values import MESSAGES, BatchResult, Position, Session


class BatchState:
    """The state's part of a batch; nothing happens before the batch commits."""

    def __init__(self, draft: CommitDraft) -> None:
        self._draft = draft

    def set(self, name: str, value: Any, *, ttl: TTL | None = None, if_version: int | None = None) -> None:
        """Set a value.

        Args:
            name: printable text.
            value: anything of the value model.
            ttl: the value's own, in seconds or as "1h".
            if_version: the value must be at this version (0: absent), or the commit is a conflict.
        """
        check_name(name, what="state name")
        check_count(if_version, "if_version")
        self._draft.state.append(DraftValue(name, value, parse_ttl_ms(ttl), if_version))

    def set_if_absent(
        self, name: str, value: Any, *, ttl: TTL | None = None, required: bool = False
    ) -> None:
        """Set a value unless there is one, which then stands in `BatchResult.kept_out`.

        Args:
            name: printable text.
            value: anything of the value model.
            ttl: the value's own.
            required: whether a value that is there makes the whole commit a conflict.
        """
        check_name(name, what="state name")
        self._draft.state.append(DraftValue(name, value, parse_ttl_ms(ttl), 0, required))

    def delete(self, name: str, *, if_version: int | None = None) -> None:
        """Remove a value; one that is not there stands in `BatchResult.kept_out`."""
        check_name(name, what="state name")
        check_count(if_version, "if_version")
        self._draft.state.append(StateDelete(name, if_version))

    def delete_prefix(self, prefix: str) -> None:
        """Remove all values whose names start with `prefix`; "" is all."""
        self._draft.state.append(StateDeletePrefix(check_prefix(prefix)))

    def add(self, name: str, delta: int = 1) -> None:
        """Add to a counter; its value afterwards stands in `BatchResult.counters`."""
        check_name(name, what="state name")
        if not isinstance(delta, int) or isinstance(delta, bool):
            raise InvalidArgumentError(f"a counter takes whole numbers, not {type(delta).__name__}")
        if not INT64_MIN <= delta <= INT64_MAX:
            raise StateTypeError(
                self._draft.session_id, name=name, problem="the counter would leave the range of int64"
            )
        self._draft.state.append(StateAdd(name, delta))


def check_prefix(prefix: str) -> str:
    """Return `prefix` if it is empty or could start the name of a state value."""
    return check_name(prefix, what="prefix") if prefix else ""


class Batch:
    """Collects changes; one commit at the end of its ``async with``, nothing after an exception.

    Attributes:
        state: changes of state.
        result: what the commit did; None until then, and if there was nothing to commit.
    """

    def __init__(
        self,
        core: StoreCore,
        session_id: str,
        *,
        create: Create | None = None,
        expected: Expected | None = None,
        fence: Fence | None = None,
        commit_id: str | None = None,
    ) -> None:
        self._core = core
        self._draft = CommitDraft(check_id(session_id))
        self._create, self._expected, self._fence, self._commit_id = create, expected, fence, commit_id
        self._tails: list[ExpectedTail] = []
        self.state: BatchState = BatchState(self._draft)
        self.result: BatchResult | None = None

    @property
    def session_id(self) -> str:
        return self._draft.session_id

    # Logs

    def append(
        self,
        *messages: Mapping[str, Any],
        log: str = MESSAGES,
        time: datetime | None = None,
        dedupe: bool = True,
    ) -> None:
        """Append messages, or any mappings, to a log.

        Args:
            *messages: in order.
            log: the log.
            time: of all of them, instead of the store's.
            dedupe: whether a text under "id" is the caller's identity of the entry.
        """
        check_log(log)
        entries = [draft_entry(log, message, time=time, dedupe=dedupe) for message in messages]
        self._draft.changes.extend(entries)

    def replace(
        self,
        entries: Iterable[Mapping[str, Any]],
        *,
        from_seq: int = 1,
        expected_tail: Position | None = None,
        log: str = MESSAGES,
    ) -> None:
        """Write a log anew from a sequence on; `expected_tail`: only if nothing happened since."""
        check_count(from_seq, "from_seq", least=1)
        drafts = [draft_entry(check_log(log), entry) for entry in entries]
        if expected_tail is not None:
            self.expect_tail(expected_tail, log=log)
        self._draft.changes.append(Truncate(log, from_seq - 1))
        self._draft.changes.extend(drafts)

    def redact(self, seq: int, *, reason: str, log: str = MESSAGES) -> None:
        """Put a tombstone in the place of an entry."""
        check_count(seq, "seq", least=1)
        self._draft.changes.append(DraftRedaction(check_log(log), seq, reason))

    def trim(self, *, before: int, log: str = MESSAGES) -> None:
        """Remove the entries below sequence `before`."""
        check_count(before, "before")
        self._draft.changes.append(Trim(check_log(log), before))

    def clear(self) -> None:
        """Empty all logs; state and metadata stay."""
        self._draft.changes.append(Clear())

    def rewind(self, *, to: int) -> None:
        """Go back to message `to` (inclusive); other logs with it."""
        check_count(to, "to")
        self._draft.changes.append(Rewind(to))

    def expect_tail(self, position: Position, *, log: str = MESSAGES) -> None:
        """Commit only if nothing was added to `log`, and no log was changed, since `position`."""
        self._tails.append(ExpectedTail(log, position.incarnation, position.epoch, position.seq(log)))

    # Record

    @property
    def metadata(self) -> dict[str, Any] | None:
        """New metadata; assigning replaces the whole dict. None: leave it as it is."""
        return self._draft.metadata

    @metadata.setter
    def metadata(self, metadata: Mapping[str, Any]) -> None:
        self._draft.metadata = clean_metadata(metadata)

    @property
    def tags(self) -> tuple[str, ...] | None:
        """New tags; assigning replaces all. None: leave them as they are."""
        return self._draft.tags

    @tags.setter
    def tags(self, tags: Iterable[str] | Mapping[str, str]) -> None:
        self._draft.tags = clean_tags(tags)

    @property
    def last_activity(self) -> datetime | None:
        """What to show as last activity instead of the time of the commit; an aware datetime."""
        return self._draft.last_activity

    @last_activity.setter
    def last_activity(self, time: datetime) -> None:
        if time.tzinfo is None:
            raise InvalidArgumentError("last_activity must be an aware datetime, such as datetime.now(UTC)")
        self._draft.last_activity = time

    # Commit

    async def commit(self, operation: str = "batch") -> BatchResult:
        """Commit now; what ``async with`` does at its end."""
        result = await self._core.commit(
            self._draft,
            operation=operation,
            create=self._create,
            expected=self._expected,
            expected_tails=tuple(self._tails),
            fence=self._fence,
            commit_id=self._commit_id,
        )
        outcome = result.outcome
        session: Session = self._core.coding.session(result.record)
        self.result = BatchResult(
            session, outcome.sequences, outcome.kept_out, outcome.counters, result.replayed
        )
        return self.result

    async def __aenter__(self) -> Self:
        await self._core.ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self._draft.is_empty:
            await self.commit()
