"""A stream's turn held for a turn of the agent, so that no two processes run one stream at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

from miniagent_store import SessionStore
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.lacking import requires
from miniagent_store.store.turn import Turn

with requires("ag2", extra="ag2"):
    from ag2.annotations import Context
    from ag2.events import BaseEvent, ModelResponse
    from ag2.middleware import BaseMiddleware
    from ag2.middleware.base import AgentTurn


class ExclusiveTurns:
    """Makes middleware that holds the turn of the stream for each turn of the agent.

    Args:
        handle: of the store.
        session_id_of: the session that holds a stream.
        fences: where the fences of turns that are held stand, by stream.
        wait: seconds to wait for the turn before.
    """

    def __init__(
        self,
        handle: StoreHandle,
        session_id_of: Callable[[UUID], str],
        fences: dict[UUID, int],
        *,
        wait: float,
    ) -> None:
        self._handle, self._session_id_of = handle, session_id_of
        self._fences, self._wait = fences, wait

    def __call__(self, event: BaseEvent, context: Context) -> BaseMiddleware:
        """What AG2 asks for at the beginning of each turn."""
        stream_id = context.stream.id
        turn = HeldTurn(self._handle, self._session_id_of(stream_id), wait=self._wait)
        return _ExclusiveTurn(event, context, turn, self._fences)


class _ExclusiveTurn(BaseMiddleware):
    def __init__(self, event: BaseEvent, context: Context, turn: HeldTurn, fences: dict[UUID, int]) -> None:
        super().__init__(event, context)
        self._turn, self._fences = turn, fences

    async def on_turn(self, call_next: AgentTurn, event: BaseEvent, context: Context) -> ModelResponse:
        fence = await self._turn.take()
        self._fences[context.stream.id] = fence
        try:
            return await call_next(event, context)
        finally:
            del self._fences[context.stream.id]
            await self._turn.give_back()


class HeldTurn:
    """The turn of a session, taken and given back from whichever event loop.

    Args:
        handle: of the store.
        session_id: whose turn.
        wait: seconds to wait for the one before.
    """

    def __init__(self, handle: StoreHandle, session_id: str, *, wait: float) -> None:
        self._handle, self._session_id, self._wait = handle, session_id, wait
        self._turn: Turn | None = None
        self._taking: asyncio.Event | None = None

    async def take(self) -> int:
        """Wait for the turn; its fence.

        Raises:
            LockTimeoutError: someone else kept it.
        """
        try:
            return await self._handle.run(self._take)
        except BaseException:
            # It may have been taken just when this was cancelled.
            await self.give_back()
            raise

    async def give_back(self) -> None:
        """Let the next one have it; nothing if it was not taken."""
        await self._handle.run_to_end(self._give_back)

    async def _take(self, store: SessionStore) -> int:
        self._taking = asyncio.Event()
        try:
            turn = store.turn(self._session_id, wait=self._wait, last=0, create=True)
            await turn.__aenter__()
            self._turn = turn
            return turn.lease.fence
        finally:
            self._taking.set()

    async def _give_back(self, store: SessionStore) -> None:
        if self._taking is not None:
            await self._taking.wait()
        turn, self._turn = self._turn, None
        if turn is not None:
            await turn.__aexit__(None, None, None)
