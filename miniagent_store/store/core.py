"""What every part of a store stands on: life cycle, codec, hooks, and the commit with its retries."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from miniagent_store.backend import (
    Append,
    Backend,
    Commit,
    CommitIdentity,
    CommitResult,
    Create,
    Expected,
    ExpectedTail,
    Fence,
    LogChange,
    NewEntry,
    ReadPlan,
    ReadResult,
    Record,
    Redact,
    StateChange,
    StateSet,
    StoredEntry,
    StoredValue,
)
from miniagent_store.codec.codec import Codec
from miniagent_store.errors import (
    BackendUnavailableError,
    OutcomeUnknownError,
    SessionDamagedError,
    SessionTooLargeError,
    StoreClosedError,
    StoreError,
    WrongLoopError,
)
from miniagent_store.options import StoreOptions
from miniagent_store.serializer import Context
from miniagent_store.store.draft import CommitDraft, DraftChange, DraftEntry, DraftRedaction, DraftValue
from miniagent_store.store.writer import Writer
from miniagent_store.values import Entry, Session, from_ms, to_ms

if TYPE_CHECKING:
    from miniagent_store.plugins import Plugins

T = TypeVar("T")
logger = logging.getLogger("miniagent_store")
# Decoding goes on for so many entries or bytes before other tasks get a turn: about half a millisecond.
DECODE_ENTRIES = 64
DECODE_BYTES = 128 * 1024
# Ends the commit id of an error: an earlier try with it is in doubt.
IN_DOUBT = "-r"
FIRST_BACKOFF, LAST_BACKOFF = 0.02, 0.5
# Whatever a backend raises that is no StoreError but speaks of the connection leaves the outcome open.
AMBIGUOUS = (OutcomeUnknownError, ConnectionError, TimeoutError)


class StoreCore:
    """Held by a store and shared by its parts.

    Args:
        backend: where the bytes go; opened on first use.
        codec: values to bytes and back.
        options: of the store.
        plugins: whose observing hooks are called.
    """

    def __init__(self, backend: Backend, codec: Codec, options: StoreOptions, plugins: Plugins) -> None:
        self.backend, self.codec, self.options = backend, codec, options
        self._plugins = plugins
        self._hooks: dict[str, list[Callable[..., Any]]] = {}
        self.writer = Writer(options.deadline)
        self.commits = self.retries = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._opening: asyncio.Lock | None = None
        self._opened = self._closed = self._reached = False

    # Life cycle

    async def ready(self) -> None:
        """Open on first use; refuse after `close()`, in another event loop, and after a fork.

        Raises:
            StoreClosedError, WrongLoopError, and whatever opening the backend raises.
        """
        if self._opened and asyncio.get_running_loop() is self._loop and self._pid == os.getpid():
            return
        if self._closed:
            raise StoreClosedError
        loop = asyncio.get_running_loop()
        if self._pid != os.getpid() or (self._loop is not None and self._loop is not loop):
            raise WrongLoopError
        self._loop = loop
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._closed:
                raise StoreClosedError
            if not self._opened:
                await self.backend.open()
                self._opened = True

    async def close(self) -> None:
        """Let go of the backend; may be called twice."""
        if self._closed:
            return
        self._closed, opened = True, self._opened
        self._opened = False
        if opened:
            await self.backend.close()

    # Hooks

    def hooks(self, name: str) -> list[Callable[..., Any]]:
        """The functions to call for an observing hook; usually none."""
        found = self._hooks.get(name)
        if found is None:
            found = self._hooks[name] = self._plugins.implementations(name)
        return found

    def tell(self, hook: str, **arguments: Any) -> None:
        """Call an observing hook. One that fails is logged and harms nobody."""
        for call in self.hooks(hook):
            try:
                call(**arguments)
            except Exception:
                logger.exception("a plugin failed in %s", hook)

    # Values and bytes

    def context(self, session_id: str, field: str) -> Context:
        return Context(self.options.namespace, "session", session_id, field)

    def encode_metadata(self, session_id: str, metadata: dict[str, Any]) -> bytes:
        """Encoded metadata; no bytes at all for none."""
        return self.codec.encode(metadata, self.context(session_id, "metadata")) if metadata else b""

    def decode_metadata(self, record: Record) -> dict[str, Any]:
        if not record.metadata:
            return {}
        decoded = self.codec.decode(record.metadata, self.context(record.session_id, "metadata"))
        return dict(decoded)

    def entry_context(self, session_id: str, log: str, entry_id: bytes) -> Context:
        return Context(self.options.namespace, "session", session_id, "entry", log, entry_id)

    def encode_entry(self, session_id: str, entry: DraftEntry, now_ms: int) -> NewEntry:
        """An entry's bytes under a newly minted id.

        Raises:
            EncodeError, SessionTooLargeError: the message cannot be written, or is over its limit.
        """
        entry_id = os.urandom(12)
        payload = self.codec.encode(entry.value, self.entry_context(session_id, entry.log, entry_id))
        limit = self.options.max_message_size
        if limit is not None and len(payload) > limit:
            raise SessionTooLargeError(session_id, size=len(payload), limit=limit, what="a message")
        time_ms = now_ms if entry.time is None else to_ms(entry.time)
        if entry.caller_id is None:
            return NewEntry(entry_id, time_ms, payload)
        return NewEntry(entry_id, time_ms, payload, entry.caller_id, self.codec.digest(entry.value))

    async def decode_entries(
        self, session_id: str, log: str, stored: Sequence[StoredEntry]
    ) -> tuple[Entry, ...]:
        """Entries from their bytes, giving way to other tasks in between.

        Raises:
            SerializationError: one of them cannot be read.
            SessionDamagedError: an id stands twice.
        """
        entries: list[Entry] = []
        pending = 0
        for each in stored:
            pending += len(each.payload)
            if pending > DECODE_BYTES or (len(entries) % DECODE_ENTRIES == 0 and entries):
                pending = 0
                await asyncio.sleep(0)
            value = self.codec.decode(each.payload, self.entry_context(session_id, log, each.id))
            entries.append(
                Entry(
                    each.seq, each.id.hex(), from_ms(each.time_ms), each.version, log, value, each.redacted
                )
            )
        if len({each.id for each in entries}) != len(entries):
            raise SessionDamagedError(session_id, part=f"log {log!r}", problem="holds an entry twice")
        return tuple(entries)

    def encode_value(self, session_id: str, name: str, value: Any) -> bytes:
        return self.codec.encode(value, self.context(session_id, f"state:{name}"))

    def decode_value(self, session_id: str, stored: StoredValue) -> Any:
        if stored.payload is None:
            return stored.counter
        return self.codec.decode(stored.payload, self.context(session_id, f"state:{stored.name}"))

    def session(self, record: Record) -> Session:
        """The public value of a record."""
        return Session(
            id=record.session_id,
            kind=record.kind,
            user_id=record.user_id,
            agent=record.agent,
            created_at=from_ms(record.created_ms),
            last_activity=from_ms(record.last_activity_ms),
            expires_at=None if record.expires_ms is None else from_ms(record.expires_ms),
            ttl=None if record.ttl_ms is None else record.ttl_ms / 1000,
            version=record.version,
            epoch=record.epoch,
            incarnation=record.incarnation,
            message_count=record.message_count,
            size=record.size,
            metadata=self.decode_metadata(record),
            tags=record.tags,
            position=record.position,
            token=record.token,
        )

    # Reading

    async def read(self, plan: ReadPlan) -> ReadResult:
        """`Backend.read`, tried again while the backend is away."""
        await self.ready()
        return await self.attempt("read", plan.session_id, lambda _: self.backend.read(plan))

    # Committing

    def default_create(self, *, keep_existing: bool = True) -> Create:
        """A session with the store's own defaults."""
        return Create(
            ttl_ms=self.options.ttl,
            sliding=self.options.ttl_mode == "sliding",
            keep_existing=keep_existing,
        )

    async def commit(
        self,
        draft: CommitDraft,
        *,
        operation: str,
        create: Create | None = None,
        expected: Expected | None = None,
        expected_tails: tuple[ExpectedTail, ...] = (),
        fence: Fence | None = None,
        commit_id: str | None = None,
    ) -> CommitResult:
        """Encode `draft` and commit it once, asking again with the same identity until the deadline.

        Raises:
            StoreError: as `Backend.commit`, and whatever hooks and codecs raise.
        """
        await self.ready()
        session_id = draft.session_id
        for call in self.hooks("before_commit"):
            call(draft=draft)
        for redaction in draft.changes:
            if isinstance(redaction, DraftRedaction) and redaction.entry_id is None:
                await self._find_entry(session_id, redaction)
        now_ms = self.backend.now_ms()
        changes = self._encode_changes(session_id, draft.changes, now_ms)
        state = tuple(self._encode_state(session_id, change) for change in draft.state)
        metadata = None if draft.metadata is None else self.encode_metadata(session_id, draft.metadata)
        last_activity_ms = None if draft.last_activity is None else to_ms(draft.last_activity)
        identity, in_doubt = await self._identity(session_id, commit_id)

        def once(retry: bool) -> Awaitable[CommitResult]:
            return self.backend.commit(
                Commit(
                    session_id,
                    identity,
                    now_ms,
                    create,
                    expected,
                    expected_tails,
                    fence,
                    changes,
                    state,
                    metadata,
                    draft.tags,
                    last_activity_ms,
                    self.options.max_session_size,
                    retry,
                )
            )

        try:
            result = await self.attempt(
                operation, session_id, once, commit_id=str(identity), in_doubt=in_doubt
            )
        finally:
            self.writer.end(session_id, identity)
        self.commits += 1
        self._tell_committed(result, draft)
        return result

    async def publish(
        self,
        operation: str,
        session_id: str,
        commit_id: str | None,
        once: Callable[[CommitIdentity, bool], Any],
    ) -> CommitResult:
        """Publish a stage under an identity, as `commit` does."""
        await self.ready()
        identity, in_doubt = await self._identity(session_id, commit_id)
        try:
            result: CommitResult = await self.attempt(
                operation,
                session_id,
                lambda retry: once(identity, retry),
                commit_id=str(identity),
                in_doubt=in_doubt,
            )
        finally:
            self.writer.end(session_id, identity)
        self.commits += 1
        self._tell_committed(result, CommitDraft(session_id))
        return result

    def _tell_committed(self, result: CommitResult, draft: CommitDraft) -> None:
        created = result.created and not result.replayed and self.hooks("session_created")
        if created or self.hooks("after_commit"):
            session = self.session(result.record)
            if created:
                self.tell("session_created", session=session)
            self.tell("after_commit", session=session, draft=draft)

    async def _identity(self, session_id: str, commit_id: str | None) -> tuple[CommitIdentity, bool]:
        """The identity to commit under, and whether an earlier try with it is in doubt."""
        if commit_id is None:
            return await self.writer.begin(session_id, self.backend.now_ms()), False
        text = str(commit_id)
        return CommitIdentity.parse(text.removesuffix(IN_DOUBT)), text.endswith(IN_DOUBT)

    async def _find_entry(self, session_id: str, redaction: DraftRedaction) -> None:
        from miniagent_store.store.reading import find_entry

        redaction.entry_id = (await find_entry(self, session_id, redaction.log, redaction.seq)).id

    def _encode_changes(
        self, session_id: str, changes: Sequence[DraftChange], now_ms: int
    ) -> tuple[LogChange, ...]:
        encoded: list[LogChange] = []
        pending: list[NewEntry] = []
        log = ""
        for change in changes:
            if isinstance(change, DraftEntry):
                if pending and change.log != log:
                    encoded.append(Append(log, tuple(pending)))
                    pending = []
                log = change.log
                pending.append(self.encode_entry(session_id, change, now_ms))
                continue
            if pending:
                encoded.append(Append(log, tuple(pending)))
                pending = []
            encoded.append(
                self._encode_redaction(session_id, change, now_ms)
                if isinstance(change, DraftRedaction)
                else change
            )
        if pending:
            encoded.append(Append(log, tuple(pending)))
        return tuple(encoded)

    def _encode_redaction(self, session_id: str, redaction: DraftRedaction, now_ms: int) -> Redact:
        entry_id = redaction.entry_id or b""
        tombstone = {
            "role": "redacted",
            "content": None,
            "metadata": {"reason": redaction.reason, "redacted_at": from_ms(now_ms).isoformat()},
        }
        payload = self.codec.encode(tombstone, self.entry_context(session_id, redaction.log, entry_id))
        return Redact(redaction.log, redaction.seq, entry_id, payload)

    def _encode_state(self, session_id: str, change: Any) -> StateChange:
        if not isinstance(change, DraftValue):
            return change  # type: ignore[no-any-return]
        payload = self.encode_value(session_id, change.name, change.value)
        return StateSet(change.name, payload, change.ttl_ms, change.if_version, change.required)

    # Trying again

    async def attempt(
        self,
        operation: str,
        session_id: str,
        once: Callable[[bool], Awaitable[T]],
        *,
        commit_id: str | None = None,
        in_doubt: bool = False,
    ) -> T:
        """Call `once(retry)` until it answers or the deadline has passed.

        Before the first success of this store it is called once only: a wrong address should be told at
        once. A call whose outcome is in doubt is brought to its end even if the caller is cancelled.

        Raises:
            StoreError: the last error; `OutcomeUnknownError` if any try left the outcome open.
        """
        deadline = time.monotonic() + self.options.deadline
        try:
            result = await once(in_doubt)
        except (BackendUnavailableError, *AMBIGUOUS) as error:
            problem: Exception = error
        except StoreError as error:
            self.tell("store_error", operation=operation, session_id=session_id, error=error)
            raise
        else:
            self._reached = True
            return result
        in_doubt = in_doubt or isinstance(problem, AMBIGUOUS)
        return await settle(
            self._again(operation, session_id, once, commit_id, problem, in_doubt, deadline)
        )

    async def _again(
        self,
        operation: str,
        session_id: str,
        once: Callable[[bool], Awaitable[T]],
        commit_id: str | None,
        problem: Exception,
        in_doubt: bool,
        deadline: float,
    ) -> T:
        backoff, attempt = FIRST_BACKOFF, 1
        reached = self._reached
        while True:
            final = isinstance(problem, OutcomeUnknownError) and problem.final
            pause = backoff * random.uniform(0.5, 1)
            if final or not (reached or in_doubt) or time.monotonic() + pause > deadline:
                break
            self.retries += 1
            self.tell(
                "store_retry", operation=operation, session_id=session_id, attempt=attempt, error=problem
            )
            await asyncio.sleep(pause)
            backoff, attempt = min(backoff * 2, LAST_BACKOFF), attempt + 1
            try:
                result = await once(in_doubt)
            except (BackendUnavailableError, *AMBIGUOUS) as error:
                problem = error
                in_doubt = in_doubt or isinstance(error, AMBIGUOUS)
            else:
                self._reached = True
                return result
        self.tell("store_error", operation=operation, session_id=session_id, error=problem)
        if not in_doubt:
            raise problem
        if commit_id is None:
            raise BackendUnavailableError(f"no answer within {self.options.deadline:g} s") from problem
        final = isinstance(problem, OutcomeUnknownError) and problem.final
        why = problem.why if isinstance(problem, OutcomeUnknownError) else "no answer came in time"
        # Whoever asks again must not raise a session from the dead: see Backend.commit.
        raise OutcomeUnknownError(
            session_id, commit_id=commit_id + IN_DOUBT, why=why, final=final
        ) from problem


async def settle(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end even if the caller is cancelled; the cancellation goes on afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                break
            cancelled = error
        except Exception:  # noqa: BLE001 - told by task.result() below
            break
    if cancelled is not None:
        if not task.cancelled():
            task.exception()
        raise cancelled
    return task.result()
