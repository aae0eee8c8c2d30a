"""A stream's turn held for a turn of the agent, so that no two processes run one stream at once."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.held_turn import HeldTurn
from miniagent_store.integrations.lacking import requires

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
