"""A session's turn held over several commits, from whichever event loop it was taken."""

from __future__ import annotations

import asyncio

from miniagent_store import SessionStore
from miniagent_store.handle import StoreHandle
from miniagent_store.store.turn import Turn


class HeldTurn:
    """The turn of a session, taken before a run of several commits and given back after it.

    Its fence goes with each of those commits, so that none of them is stored once another has the turn.

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
