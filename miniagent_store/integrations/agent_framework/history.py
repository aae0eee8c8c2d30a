"""Agent Framework's `HistoryProvider`: the messages of a session in a log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from miniagent_store.errors import SessionNotFoundError, VersionConflictError
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.ids import join_id
from miniagent_store.integrations.agent_framework.kept import KeptHistories
from miniagent_store.integrations.lacking import requires
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import MESSAGES, Entry, Position

with requires("agent-framework-core", extra="agent-framework"):
    from agent_framework import HistoryProvider, Message
    from agent_framework import _sessions as _contract

# What the framework's own providers leave out of a save, since it was stored before.
_filter_new_messages: Callable[[Sequence[Message], Sequence[Message]], list[Message]] | None = getattr(
    _contract, "filter_new_messages", None
)


class MiniAgentHistoryProvider(HistoryProvider):
    """Conversation history on any store: ``Agent(..., context_providers=[provider])``.

    What a run adds is one commit, made only where nobody else has added since the end of the history was
    looked at; where somebody has, it is looked at again, so that the runs of several processes stand one
    after another.

    Args:
        store: a URL, a `SessionStore` or a `StoreHandle`.
        source_id: the provider's name; another name is another history of the same session.
        prefix: the first part of the ids of its sessions.
        filter_replays: leave out what the end of the history holds already, as the framework's own
            providers do: a caller may send the whole transcript again. Messages without an id are told
            by their content, so a turn that repeats the last one word for word is left out too; where
            callers send only what is new, pass False, and all is stored.
        skip_excluded: leave out, on reading, what a compaction marked as excluded.
        keep: the histories of how many sessions to keep in memory, so that only what is newer is read.
        load_messages, store_inputs, store_context_messages, store_context_from, store_outputs: as
            `HistoryProvider`.
    """

    DEFAULT_SOURCE_ID: ClassVar[str] = "miniagent"

    def __init__(
        self,
        store: str | SessionStore | StoreHandle,
        *,
        source_id: str | None = None,
        prefix: str = "agent-framework",
        filter_replays: bool = True,
        skip_excluded: bool = False,
        keep: int = 64,
        load_messages: bool = True,
        store_inputs: bool = True,
        store_context_messages: bool = False,
        store_context_from: set[str] | None = None,
        store_outputs: bool = True,
    ) -> None:
        super().__init__(
            source_id or self.DEFAULT_SOURCE_ID,
            load_messages=load_messages,
            store_inputs=store_inputs,
            store_context_messages=store_context_messages,
            store_context_from=store_context_from,
            store_outputs=store_outputs,
        )
        self._handle = handle_of(store)
        self._prefix = prefix
        self._filter_replays = filter_replays
        self.skip_excluded = skip_excluded
        self._keep = keep
        self._kept = KeptHistories(keep)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_kept"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._kept = KeptHistories(self._keep)

    async def get_messages(
        self, session_id: str | None, *, state: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[Message]:
        """The messages of a session, in order.

        Raises:
            ValueError: there is no session id.
            StoreError: the store cannot give them.
        """
        key, log = self._place(session_id)
        found = await self._handle.run(lambda store: self._kept.read(store, key, log))
        messages = [Message.from_dict(each) for each in found]
        if self.skip_excluded:
            return [each for each in messages if not each.additional_properties.get("_excluded", False)]
        return messages

    async def save_messages(
        self,
        session_id: str | None,
        messages: Sequence[Message],
        *,
        state: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Append messages to a session, in one commit; the session is made with its first.

        Raises:
            ValueError: there is no session id.
            StoreError: they were not stored; `OutcomeUnknownError`: it cannot be known.
        """
        if not messages:
            return
        key, log = self._place(session_id)
        given = list(messages)
        plain = [message.to_dict() for message in given]

        async def work(store: SessionStore) -> None:
            while True:
                position, new = None, len(given)
                if self._filter_replays and _filter_new_messages is not None:
                    # A longer overlap than what is given there cannot be, so this much of the end will do.
                    position, tail = await _tail(store, key, log, len(given) + 1)
                    existing = [Message.from_dict(dict(each.value)) for each in tail if not each.redacted]
                    new = len(_filter_new_messages(existing, given))
                if not new:
                    return
                try:
                    await _append(store, key, log, plain[-new:], position)
                except VersionConflictError:
                    continue
                return

        await self._handle.run_to_end(work)

    def _place(self, session_id: str | None) -> tuple[str, str]:
        if not session_id:
            raise ValueError("history needs a session: pass session=agent.create_session() to run()")
        own = self.source_id != self.DEFAULT_SOURCE_ID
        return join_id(self._prefix, session_id), join_id(MESSAGES, self.source_id) if own else MESSAGES


async def _tail(
    store: SessionStore, session_id: str, log: str, length: int
) -> tuple[Position | None, tuple[Entry, ...]]:
    try:
        snapshot = await store.snapshot(session_id, logs=(log,), last=length)
    except SessionNotFoundError:
        return None, ()
    return snapshot.position, snapshot.logs[log]


async def _append(
    store: SessionStore,
    session_id: str,
    log: str,
    entries: Sequence[dict[str, Any]],
    position: Position | None,
) -> None:
    async with store.batch(session_id, create=True) as batch:
        batch.append(*entries, log=log, dedupe=False)
        if position is not None:
            batch.expect_tail(position, log=log)
