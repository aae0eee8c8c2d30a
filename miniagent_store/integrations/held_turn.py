"""A session's turn held over several commits, from whichever event loop or thread it was taken."""

from __future__ import annotations

import asyncio

from miniagent_store import LockLostError, SessionStore
from miniagent_store.handle import StoreHandle
from miniagent_store.store.turn import Turn

# The value that is set when a turn is taken, so that the record knows its fence from then on.
TAKEN = "turn"


class HeldTurn:
    """The turn of a session, taken before a run of several commits and given back after it.

    Its fence goes with each of those commits: once another has the turn, none of them is stored.

    Args:
        handle: of the store.
        session_id: whose turn.
        wait: seconds to wait for the one before.
    """

    def __init__(self, handle: StoreHandle, session_id: str, *, wait: float) -> None:
        self._handle, self._session_id, self._wait = handle, session_id, wait
        self._turn: Turn | None = None
        self._taking: asyncio.Event | None = None

    def fence(self) -> int:
        """What goes with each commit.

        Raises:
            LockLostError: it is no longer certain that the turn is held.
        """
        # The number, and not the lease: commits may go through other stores of the handle.
        if self._turn is None or self._turn.lease.lost:
            raise LockLostError(self._session_id)
        return self._turn.lease.fence

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

    def take_blocking(self) -> None:
        """As `take`, in a thread that may wait."""
        try:
            self._handle.run_blocking(self._take)
        except BaseException:
            self.give_back_blocking()
            raise

    def give_back_blocking(self) -> None:
        """As `give_back`, after `take_blocking`."""
        self._handle.run_blocking(self._give_back)

    async def _take(self, store: SessionStore) -> int:
        self._taking = asyncio.Event()
        try:
            turn = store.turn(self._session_id, wait=self._wait, last=0, create=True)
            await turn.__aenter__()
            self._turn = turn
            fence = turn.lease.fence
            # Whoever lost the turn before can commit no more from here on.
            async with store.batch(self._session_id, create=True, fence=fence) as batch:
                batch.state.set(TAKEN, fence)
            return fence
        finally:
            self._taking.set()

    async def _give_back(self, store: SessionStore) -> None:
        if self._taking is not None:
            await self._taking.wait()
        turn, self._turn = self._turn, None
        if turn is not None:
            await turn.__aexit__(None, None, None)
