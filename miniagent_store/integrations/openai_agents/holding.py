"""A session's turn held over several commits, from whichever loop or thread it was taken."""

from __future__ import annotations

from miniagent_store.errors import LockLostError
from miniagent_store.handle import StoreHandle
from miniagent_store.store.protocol import SessionStore
from miniagent_store.store.turn import Turn


class HeldTurn:
    """The turn of a session, taken before a run of several commits and given back after it.

    Its fence goes with each of those commits, so that nothing of this run is stored once a later run has
    the turn.

    Args:
        handle: of the store.
        session_id: whose turn.
        wait: seconds to wait for the one before.
    """

    def __init__(self, handle: StoreHandle, session_id: str, *, wait: float) -> None:
        self._handle, self._session_id, self._wait = handle, session_id, wait
        self._turn: Turn | None = None

    def fence(self) -> int:
        """What goes with each commit.

        Raises:
            LockLostError: it is no longer certain that the turn is held.
        """
        # The number, and not the lease: commits may go through other stores of the handle.
        if self._turn is None or self._turn.lease.lost:
            raise LockLostError(self._session_id)
        return self._turn.lease.fence

    async def take(self) -> None:
        """Wait for the turn.

        Raises:
            LockTimeoutError: someone else kept it.
        """
        await self._handle.run(self._take)

    async def give_back(self) -> None:
        """Let the next one have it."""
        await self._handle.run_to_end(self._give_back)

    def take_blocking(self) -> None:
        """As `take`, in a thread that may wait."""
        self._handle.run_blocking(self._take)

    def give_back_blocking(self) -> None:
        """As `give_back`, after `take_blocking`."""
        self._handle.run_blocking(self._give_back)

    async def _take(self, store: SessionStore) -> None:
        turn = store.turn(self._session_id, wait=self._wait, last=0, create=True)
        await turn.__aenter__()
        self._turn = turn

    async def _give_back(self, store: SessionStore) -> None:
        if self._turn is not None:
            await self._turn.__aexit__(None, None, None)
