"""What every part of a store stands on: life cycle, codec, hooks, and the commit with its retries."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from miniagent_store.backend import (
    Backend,
    Commit,
    CommitIdentity,
    CommitResult,
    ConnectionEvent,
    Create,
    Expected,
    ExpectedTail,
    Fence,
    ReadPlan,
    ReadResult,
)
from miniagent_store.codec.codec import Codec
from miniagent_store.errors import StoreClosedError, WrongLoopError
from miniagent_store.ids import check_id
from miniagent_store.keys.data_keys import CACHE_OWNER, CACHE_OWNER_KIND, DataKeys
from miniagent_store.options import StoreOptions
from miniagent_store.store.coding import Coding
from miniagent_store.store.committing import commit_draft
from miniagent_store.store.draft import CommitDraft, DraftRedaction
from miniagent_store.store.observing import observing_for
from miniagent_store.store.retrying import FORESEEN, IN_DOUBT, Retrying
from miniagent_store.store.session_keys import SessionKeys
from miniagent_store.store.sharing import Shared
from miniagent_store.store.tenant_limits import LimitGuard, TenantLimits
from miniagent_store.store.usage import USAGE_OPERATION, UsageCounter
from miniagent_store.store.writer import Writer

if TYPE_CHECKING:
    from miniagent_store.plugins import Plugins
    from miniagent_store.store.observing import Observing
    from miniagent_store.url import StoreURL

logger: logging.Logger = logging.getLogger("miniagent_store")
# Long histories that are read at the same time: one is decoded while the next is on its way. More are no
# faster, keep the server from commits, and have Python's garbage collector keep everyone waiting.
LARGE_AT_ONCE = 2
LARGE_ENTRIES = 200
_ROOM: AbstractAsyncContextManager[None] = nullcontext()
# The commits that a store makes by itself, for the data key of cached values and for usage: no limit keeps
# them out.
KEYS_OPERATION = "keys"
OWN_OPERATIONS = frozenset({KEYS_OPERATION, USAGE_OPERATION})


class StoreCore:
    """Held by a store and shared by its parts.

    Args:
        backend: where the bytes go; opened on first use.
        codec: values to bytes and back.
        options: of the store.
        plugins: whose observing hooks are called.
        keys: the keys of encrypted values; None for none.
        parent: of the store that this one is a view of a tenant of; opened first, and closed last.
        limits: what may be held and done here; None for no limits.
        place: whose backend keeps what is cached; None for this one.
    """

    backend: Backend
    options: StoreOptions

    def __init__(
        self,
        backend: Backend,
        codec: Codec,
        options: StoreOptions,
        plugins: Plugins,
        keys: DataKeys | None = None,
        parent: StoreCore | None = None,
        limits: TenantLimits | None = None,
        place: StoreCore | None = None,
    ) -> None:
        self.parent = parent
        self.place: StoreCore = place or self
        self.backend, self.options = backend, options
        self.coding: Coding = Coding(codec, options)
        self.retrying: Retrying = Retrying(options.deadline, self.tell)
        self.keys: SessionKeys = SessionKeys(keys, backend, self.retrying)
        self.plugins: Plugins = plugins
        self._hooks: dict[str, list[Callable[..., Any]]] = {}
        self.writer: Writer = Writer(options.deadline)
        backend.tell = self._tell_connection
        self.shared: Shared = Shared()
        self.commits: int = 0
        self.observing: Observing | None = None
        self.usage: UsageCounter | None = UsageCounter(self) if options.analytics else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._opening: asyncio.Lock | None = None
        self._opened = self._closed = False
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._is_plain: bool | None = None
        self._default_create: Create | None = None
        self.limits: LimitGuard | None = LimitGuard(backend, options.namespace, limits) if limits else None

    # Life cycle

    async def ready(self) -> None:
        """Open on first use; refuse after `close()`, in another event loop, and after a fork.

        Raises:
            StoreClosedError, WrongLoopError, and whatever opening the backend raises.
        """
        if self.parent is not None:
            await self.parent.ready()
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

    def is_ready(self) -> bool:
        """Whether `ready` would only return."""
        return (
            self._opened
            and self.parent is None
            # After a fork another loop runs, or none.
            and asyncio.get_running_loop() is self._loop
        )

    def is_home(self) -> bool:
        """Whether the loop that runs now is the one in which this store was opened."""
        above = self if self._loop is not None or self.parent is None else self.parent
        return (
            above._loop is not None
            and above._pid == os.getpid()
            and asyncio.get_running_loop() is above._loop
        )

    def is_forked(self) -> bool:
        """Whether this is a child's copy of a store that its parent made."""
        return self._pid != os.getpid()

    @property
    def closed(self) -> bool:
        """Whether `close` was called, here or on a parent."""
        return self._closed or (self.parent is not None and self.parent.closed)

    async def settle(self) -> None:
        """Write what is held back for a moment."""
        if self._opened and not self.closed:
            if self.usage is not None:
                await self.usage.write()
            await self.backend.settle()

    async def close(self) -> None:
        """Let go of the backend; may be called twice."""
        if self._closed:
            return
        if self.usage is not None and self._opened:
            await self.usage.close()
        self._closed, self._opened = True, False
        # Also where opening was cut short: it may have come half-way.
        if self._opening is not None:
            await self.backend.close()

    # Hooks

    def hooks(self, name: str) -> list[Callable[..., Any]]:
        """The functions to call for an observing hook; usually none."""
        found = self._hooks.get(name)
        if found is None:
            found = self._hooks[name] = self.plugins.implementations(name)
        return found

    def observe(self, url: StoreURL) -> Observing | None:
        """Have operations be shown to whoever asked for them; None for nobody."""
        self.observing = observing_for(self.plugins, self.options, url, self.backend.name)
        if self.observing is not None:
            self.observing.attach(self)
        return self.observing

    def tell(self, hook: str, **arguments: Any) -> None:
        """Call an observing hook. One that fails is logged and harms nobody."""
        for call in self.hooks(hook):
            try:
                call(**arguments)
            except Exception:
                logger.exception("a plugin failed in %s", hook)

    def _tell_connection(self, event: ConnectionEvent) -> None:
        self.tell("connection_event", event=event)

    def is_plain(self, session_id: str) -> bool:
        """Whether a commit on a session is nobody's business but the backend's.

        No hook or observer looks on, nothing is limited or counted, and the session has no key of its own.
        """
        if self._is_plain is None:
            seen = self.hooks("before_commit") or self.hooks("after_commit") or self.observing
            self._is_plain = not (seen or self.limits or self.usage)
        return self._is_plain and not self.keys.concern(session_id)

    # Reading

    def room_for(self, plan: ReadPlan) -> AbstractAsyncContextManager[Any]:
        """Held while a plan is read and decoded: lets a few large ones in at a time, in their order."""
        for each in plan.ranges:
            sizes = [size for size in (each.last, each.limit) if size is not None]
            if not sizes or min(sizes) > LARGE_ENTRIES:
                return self._large
        return _ROOM

    async def read(self, plan: ReadPlan) -> ReadResult:
        """`Backend.read`, tried again while the backend is away."""
        if not self.is_ready():
            await self.ready()
        started = time.monotonic()
        try:
            # As `Retrying.attempt`, without a call more where all goes well.
            result = await self.backend.read(plan)
            self.retrying.reached = True
        except FORESEEN as error:
            result = await self.retrying.go_on(
                "read", plan.session_id, lambda _: self.backend.read(plan), error, started
            )
        if self.keys.source is not None:
            await self.keys.learn(result.record)
        return result

    # Committing

    def default_create(self, kind: str = "session") -> Create:
        """A session with the store's own defaults; one that is there is kept."""
        if self._default_create is None:
            self._default_create = Create(
                ttl_ms=self.options.ttl, sliding=self.options.ttl_mode == "sliding", keep_existing=True
            )
        if kind != "session":
            return replace(self._default_create, kind=check_id(kind, what="kind", limit=64))
        return self._default_create

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

        Args:
            draft: what changes.
            operation: its name, for hooks.
            create: whether and how to make a session that is missing.
            expected, expected_tails, fence: preconditions.
            commit_id: of an earlier try.

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
        result = await commit_draft(
            self,
            draft,
            operation=operation,
            create=create,
            expected=expected,
            expected_tails=expected_tails,
            fence=fence,
            commit_id=commit_id,
        )
        self.commits += 1
        self.tell_committed(result, draft)
        if self.usage is not None:
            self.usage.count(result, draft, commit_id)
        # Without state there is nothing that says that there are memories of it.
        if draft.changes and result.record.state_version:
            await self._forget_taken_back(draft, result)
        return result

    async def _forget_taken_back(self, draft: CommitDraft, result: CommitResult) -> None:
        from miniagent_store.store.memory.forgetting import forget_taken_back, takes_back

        if takes_back(draft.changes):
            await forget_taken_back(self, result.record)

    async def fetch_cache_key(self) -> None:
        """Have the data key of cached values at hand, where they have one."""
        if self.keys.wants_cache_key():
            await self.ready()
            create = Create(kind=CACHE_OWNER_KIND, keep_existing=True)
            await self.commit(CommitDraft(CACHE_OWNER), operation=KEYS_OPERATION, create=create)

    async def send(self, operation: str, commit: Commit, in_doubt: bool) -> CommitResult:
        """Bring a commit to the backend; `in_doubt`: an earlier try with its identity is."""
        again = False

        async def once(retry: bool) -> CommitResult:
            nonlocal again
            sent, again = again, True
            return await self.bring(commit, retry, again=sent)

        try:
            if self.limits is not None and not in_doubt and operation not in OWN_OPERATIONS:
                await self._admit(commit.session_id, partial(self.limits.admit, commit))
            result = await self.retrying.attempt(
                operation, commit.session_id, once, commit_id=str(commit.identity), in_doubt=in_doubt
            )
            if self.limits is not None:
                self.limits.count(commit, result)
            return result
        finally:
            self.writer.end(commit.session_id, commit.identity)

    async def bring(self, commit: Commit, retry: bool, *, again: bool = True) -> CommitResult:
        """One try of a commit.

        Args:
            commit: what is brought to the backend.
            retry: an earlier try is in doubt.
            again: there was an earlier try: this one keeps its place among the commits of its session.
        """
        if again:
            await self.writer.in_line(commit.session_id, commit.identity)
        return await self.backend.commit(replace(commit, retry=True) if retry else commit)

    async def publish(
        self,
        operation: str,
        session_id: str,
        commit_id: str | None,
        once: Callable[[CommitIdentity, bool], Any],
    ) -> CommitResult:
        """Publish a stage under an identity, as `commit` does."""
        await self.ready()
        identity, in_doubt = await self.identity(session_id, commit_id)
        try:
            if self.limits is not None and not in_doubt:
                await self._admit(session_id, partial(self.limits.admit_fork, session_id))
            result: CommitResult = await self.retrying.attempt(
                operation,
                session_id,
                lambda retry: once(identity, retry),
                commit_id=str(identity),
                in_doubt=in_doubt,
            )
        finally:
            self.writer.end(session_id, identity)
        self.commits += 1
        self.tell_committed(result, CommitDraft(session_id))
        return result

    async def _admit(self, session_id: str, ask: Callable[[], Awaitable[None]]) -> None:
        await self.retrying.attempt("limits", session_id, lambda _: ask())

    def tell_committed(self, result: CommitResult, draft: CommitDraft) -> None:
        """Tell hooks what a commit has done."""
        if result.replaced is not None and result.replaced.kind == "session" and not result.replayed:
            self.tell("session_expired", session_id=result.replaced.session_id)
        created = result.created and not result.replayed and self.hooks("session_created")
        if created or self.hooks("after_commit"):
            session = self.coding.session(result.record)
            if created:
                self.tell("session_created", session=session)
            self.tell("after_commit", session=session, draft=draft)

    async def identity(self, session_id: str, commit_id: str | None) -> tuple[CommitIdentity, bool]:
        """The identity to commit under, and whether an earlier try with it is in doubt."""
        if commit_id is None:
            return await self.writer.begin(session_id, self.backend.now_ms), False
        text = str(commit_id)
        return CommitIdentity.parse(text.removesuffix(IN_DOUBT)), text.endswith(IN_DOUBT)

    async def _find_entry(self, session_id: str, redaction: DraftRedaction) -> None:
        from miniagent_store.store.reading import find_entry

        redaction.entry_id = (await find_entry(self, session_id, redaction.log, redaction.seq)).id
