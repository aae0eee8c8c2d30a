"""What every part of a store stands on: life cycle, codec, hooks, and the commit with its retries."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from miniagent_store.backend import (
    Backend,
    Commit,
    CommitIdentity,
    CommitResult,
    Create,
    Expected,
    ExpectedTail,
    Fence,
    ReadPlan,
    ReadResult,
)
from miniagent_store.codec.codec import Codec
from miniagent_store.errors import StoreClosedError, WrongLoopError
from miniagent_store.options import StoreOptions
from miniagent_store.store.coding import Coding
from miniagent_store.store.draft import CommitDraft, DraftRedaction
from miniagent_store.store.retrying import IN_DOUBT, Retrying
from miniagent_store.store.writer import Writer
from miniagent_store.values import to_ms

if TYPE_CHECKING:
    from miniagent_store.plugins import Plugins

logger = logging.getLogger("miniagent_store")


class StoreCore:
    """Held by a store and shared by its parts.

    Args:
        backend: where the bytes go; opened on first use.
        codec: values to bytes and back.
        options: of the store.
        plugins: whose observing hooks are called.
    """

    def __init__(self, backend: Backend, codec: Codec, options: StoreOptions, plugins: Plugins) -> None:
        self.backend, self.options = backend, options
        self.coding = Coding(codec, options)
        self.retrying = Retrying(options.deadline, self.tell)
        self._plugins = plugins
        self._hooks: dict[str, list[Callable[..., Any]]] = {}
        self.writer = Writer(options.deadline)
        self.commits = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._opening: asyncio.Lock | None = None
        self._opened = self._closed = False

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

    # Reading

    async def read(self, plan: ReadPlan) -> ReadResult:
        """`Backend.read`, tried again while the backend is away."""
        await self.ready()
        return await self.retrying.attempt("read", plan.session_id, lambda _: self.backend.read(plan))

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
        changes = self.coding.encode_changes(session_id, draft.changes, now_ms)
        state = tuple(self.coding.encode_state(session_id, change) for change in draft.state)
        metadata = (
            None if draft.metadata is None else self.coding.encode_metadata(session_id, draft.metadata)
        )
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
            result = await self.retrying.attempt(
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
        self._tell_committed(result, CommitDraft(session_id))
        return result

    def _tell_committed(self, result: CommitResult, draft: CommitDraft) -> None:
        created = result.created and not result.replayed and self.hooks("session_created")
        if created or self.hooks("after_commit"):
            session = self.coding.session(result.record)
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
