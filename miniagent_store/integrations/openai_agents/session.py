"""`MiniAgentSession`: a conversation of the OpenAI Agents SDK in a store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import fields
from types import TracebackType
from typing import Any, Self

from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError, VersionConflictError
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.ids import join_id
from miniagent_store.integrations.held_turn import HeldTurn
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.openai_agents.compacting import CompactionHooks
from miniagent_store.integrations.openai_agents.items import Item, KnownItems, as_json, items_of
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL
from miniagent_store.values import MESSAGES, Entry, Position

with requires("openai-agents", extra="openai-agents"):
    from agents.memory import SessionSettings
    from agents.run_context import RunContextWrapper

RunContext = RunContextWrapper[Any]


class MiniAgentSession(CompactionHooks):
    """A `Session` of the SDK: the items of one conversation, in any store.

    Every changing call is one atomic commit, stored once even where its reply is lost, and runs to its end
    even if the caller is cancelled. May be used from several event loops and threads, and pickled.

    Args:
        session_id: the conversation's; any text.
        store: a URL, a `SessionStore` or a `StoreHandle`. Sessions that are given the same handle share
            its connections; each that is given a URL makes its own.
        exclusive: whether one run at a time may use the session. Each is then put inside
            ``async with session:`` (or ``with session:``), which waits for the one before; to change it
            outside is an error. If the process dies, the next run begins when the lease ends (15 seconds).
        wait: seconds to wait for the run before; 0 fails at once.
        user_id: whose conversation it is, for listings; or a function of the run context that says so,
            asked when the conversation is stored for the first time.
        session_settings: as in the SDK's own sessions: ``limit`` is how many items a run reads.
    """

    session_settings: SessionSettings | None

    def __init__(
        self,
        session_id: str,
        store: str | StoreURL | SessionStore | StoreHandle | None = None,
        *,
        exclusive: bool = False,
        wait: float = 30,
        user_id: str | Callable[[RunContext | None], str | None] | None = None,
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        self.session_id = session_id
        self.session_settings = _settings(session_settings)
        self._id = join_id(session_id)
        self._handle, self._owns = handle_of(store), not isinstance(store, StoreHandle)
        self._exclusive, self._wait, self._user_id = exclusive, wait, user_id
        self._turn: HeldTurn | None = None
        self._known: KnownItems | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<MiniAgentSession {self.session_id!r} in {self._handle.url}>"

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_turn": None, "_known": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    # The contract

    async def get_items(self, limit: int | None = None, *, wrapper: RunContext | None = None) -> list[Item]:
        """The latest `limit` items in order; by default as many as the settings say, else all."""
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        if limit is None:
            return await self._handle.run(self._read_all)
        wanted = limit
        if wanted <= 0:
            return []
        return items_of(await self._handle.run(lambda store: self._read_latest(store, wanted)))

    async def add_items(self, items: Sequence[Item], *, wrapper: RunContext | None = None) -> None:
        """Append items, all in one commit. No items: nothing happens."""
        self._check_turn()
        plain = [as_json(item) for item in items]
        if not plain:
            return

        async def add(store: SessionStore) -> None:
            while True:
                try:
                    async with self._batch(store, create=self._user_id is None) as batch:
                        # Ids of items are no identities: some models give all the same one.
                        batch.append(*plain, dedupe=False)
                    return
                except SessionNotFoundError:
                    await store.create(self._id, user_id=self._user(wrapper), exist_ok=True)

        await self._handle.run_to_end(add)

    async def pop_item(self, *, wrapper: RunContext | None = None) -> Item | None:
        """Remove the newest item and return it; None if there is none. One caller gets it."""
        self._check_turn()

        async def pop(store: SessionStore) -> Item | None:
            while True:
                latest, position = await self._read_with_position(store, 1)
                if position is None or not latest:
                    return None
                try:
                    async with self._batch(store) as batch:
                        batch.replace([], from_seq=latest[0].seq, expected_tail=position)
                except (VersionConflictError, SessionNotFoundError):
                    continue
                return dict(latest[0].value)

        return await self._handle.run_to_end(pop)

    async def clear_session(self, *, wrapper: RunContext | None = None) -> None:
        """Remove all items; whose the conversation is, its state and its expiry stay."""
        self._check_turn()

        async def clear(store: SessionStore) -> None:
            try:
                async with self._batch(store) as batch:
                    batch.clear()
            except SessionNotFoundError:
                return

        await self._handle.run_to_end(clear)

    # Reading

    async def _read_all(self, store: SessionStore) -> list[Item]:
        with self._lock:
            known = self._known
        try:
            snapshot = await store.snapshot(self._id, after=known.position if known else None)
        except SessionNotFoundError:
            with self._lock:
                self._known = None
            return []
        fresh = KnownItems.read(snapshot, known)
        with self._lock:
            # Of two that read at once either may be kept: the next reading begins where it stands.
            self._known = fresh
        return fresh.items()

    async def _read_latest(self, store: SessionStore, limit: int) -> Sequence[Entry]:
        return (await self._read_with_position(store, limit))[0]

    async def _read_with_position(
        self, store: SessionStore, limit: int
    ) -> tuple[Sequence[Entry], Position | None]:
        """The latest `limit` entries that are not redacted, and where they were read; None: no session."""
        window = limit
        while True:
            try:
                snapshot = await store.snapshot(self._id, last=window)
            except SessionNotFoundError:
                return (), None
            found = snapshot.logs[MESSAGES]
            items = [entry for entry in found if not entry.redacted]
            if len(items) >= limit or len(found) < window:
                return items[-limit:], snapshot.position
            window *= 2

    # One run at a time

    async def __aenter__(self) -> Self:
        if self._exclusive:
            turn = HeldTurn(self._handle, self._id, wait=self._wait)
            await turn.take()
            self._turn = turn
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            await turn.give_back()

    def __enter__(self) -> Self:
        if self._exclusive:
            turn = HeldTurn(self._handle, self._id, wait=self._wait)
            turn.take_blocking()
            self._turn = turn
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.give_back_blocking()

    def _check_turn(self) -> None:
        if self._exclusive and self._turn is None:
            raise InvalidArgumentError(
                "this session was made with exclusive=True: put the run inside 'async with session:'"
            )

    # Closing

    async def close(self) -> None:
        """Let go of connections that were opened for this session alone; a store or handle stays open."""
        if self._owns:
            await self._handle.aclose()

    # Writing

    def _stores_plainly(self) -> bool:
        # As the SDK's own: what a subclass does to its items, compaction must not bypass.
        return type(self) is MiniAgentSession

    def _batch(self, store: SessionStore, *, create: bool = False) -> Any:
        turn = self._turn
        return store.batch(self._id, create=create, fence=turn.fence() if turn else None)

    def _user(self, wrapper: RunContext | None) -> str | None:
        return self._user_id(wrapper) if callable(self._user_id) else self._user_id


def _settings(given: SessionSettings | dict[str, Any] | None) -> SessionSettings:
    # As the SDK's newer releases do it; the older ones have no function for it.
    if not isinstance(given, dict):
        return given or SessionSettings()
    unknown = given.keys() - {field.name for field in fields(SessionSettings)}
    if unknown:
        raise TypeError(f"Unknown session settings: {', '.join(sorted(unknown))}")
    return SessionSettings(**given)
