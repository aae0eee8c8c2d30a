"""Turns at a thread: with ``writers="exclusive"`` a run holds its thread's, and others wait for it."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.langgraph import names
from miniagent_store.store.protocol import SessionStore

if TYPE_CHECKING:
    from miniagent_store.store.leases import Lock

TTL = 15.0
# By place (the handle) and session: the fence of the turn that this context holds.
_held: ContextVar[dict[tuple[int, str], int] | None] = ContextVar("miniagent_store_langgraph", default=None)


def fence_of(handle: StoreHandle, session_id: str, *, required: bool) -> int | None:
    """The fence of the turn that the caller holds.

    Raises:
        InvalidArgumentError: it holds none, and must.
    """
    fence = (_held.get() or {}).get((id(handle), session_id))
    if fence is None and required:
        raise InvalidArgumentError(
            "this saver has writers='exclusive': run the graph inside `with saver.turn(thread_id):`, "
            "or `async with`"
        )
    return fence


class ThreadTurn:
    """``with`` and ``async with``: the only writer of a thread, over processes.

    Args:
        handle: of the store.
        thread_id: whose turn.
        wait: seconds to wait for the one before.
    """

    def __init__(self, handle: StoreHandle, thread_id: Any, *, wait: float) -> None:
        self._handle, self._session_id, self._wait = handle, names.session_of(thread_id), wait
        # Whoever takes the lock out of it gives it back: the caller, or the work that the caller gave up.
        self._locks: deque[Lock] = deque()
        self._given_up = False

    def __enter__(self) -> Self:
        self._enter(self._handle.run_blocking(self._acquire))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit()
        self._handle.run_blocking(self._release)

    async def __aenter__(self) -> Self:
        self._given_up = False
        try:
            self._enter(await self._handle.run(self._acquire))
        except asyncio.CancelledError:
            self._given_up = True
            await self._handle.run_to_end(self._release)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit()
        await self._handle.run_to_end(self._release)

    async def _acquire(self, store: SessionStore) -> int:
        lock = store.lock(self._session_id, ttl=TTL, wait=self._wait)
        lease = await lock.__aenter__()
        self._locks.append(lock)
        try:
            # Whoever lost the turn before can commit no more from here on.
            async with store.batch(
                self._session_id, create=True, kind=names.KIND, fence=lease.fence
            ) as batch:
                batch.state.set("turn", lease.fence)
        except BaseException:
            await self._release(store)
            raise
        if self._given_up:
            await self._release(store)
        return lease.fence

    async def _release(self, store: SessionStore) -> None:
        try:
            lock = self._locks.pop()
        except IndexError:
            return
        await lock.__aexit__(None, None, None)

    def _enter(self, fence: int) -> None:
        _held.set({**(_held.get() or {}), self._key: fence})

    def _exit(self) -> None:
        _held.set({key: fence for key, fence in (_held.get() or {}).items() if key != self._key})

    @property
    def _key(self) -> tuple[int, str]:
        return id(self._handle), self._session_id
