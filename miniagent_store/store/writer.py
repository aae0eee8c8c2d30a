"""The identity of commits: an opened store is a writer that counts them."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from miniagent_store.backend import MAX_NOT_AFTER_MS, OUTCOME_WINDOW, CommitIdentity


@dataclass(slots=True)
class _InFlight:
    """Commits of one session from the oldest unanswered on, as [counter, answered]."""

    commits: deque[list[int]] = field(default_factory=deque)
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Writer:
    """Mints identities so that a session never has more of them unanswered than are remembered.

    Args:
        lifetime: seconds that an identity is good for, at most 30.
    """

    def __init__(self, lifetime: float) -> None:
        self._id = os.urandom(9).hex()
        self._counter = 0
        self._lifetime_ms = min(int(lifetime * 1000), MAX_NOT_AFTER_MS)
        self._sessions: dict[str, _InFlight] = {}
        # Of sessions with one commit under way, as most have: its counter.
        self._lone: dict[str, int] = {}

    def fresh(self, now_ms: int) -> CommitIdentity:
        """An identity of a writer of its own, to be used by a later call or another process."""
        return CommitIdentity(os.urandom(9).hex(), 1, now_ms + MAX_NOT_AFTER_MS)

    def begin_lone(self, session_id: str, now_ms: int) -> CommitIdentity | None:
        """The identity of the next commit on a session; None where others are under way: see `begin`."""
        if session_id in self._lone or session_id in self._sessions:
            return None
        self._counter = counter = self._counter + 1
        self._lone[session_id] = counter
        return CommitIdentity(self._id, counter, now_ms + self._lifetime_ms)

    async def begin(self, session_id: str, clock: Callable[[], int]) -> CommitIdentity:
        """The identity of the next commit on a session; waits while too many are unanswered.

        Args:
            session_id: the session.
            clock: the backend's, in ms; asked when the wait is over.
        """
        flight = self._flight(session_id)
        while len(flight.commits) >= OUTCOME_WINDOW:
            turn = asyncio.get_running_loop().create_future()
            flight.waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn in flight.waiting:
                    flight.waiting.remove(turn)
                self._let_in(session_id, flight)
                raise
            # Anew: what was empty meanwhile was dropped.
            flight = self._flight(session_id)
        self._counter += 1
        flight.commits.append([self._counter, 0])
        return CommitIdentity(self._id, self._counter, clock() + self._lifetime_ms)

    def _flight(self, session_id: str) -> _InFlight:
        flight = self._sessions.get(session_id)
        if flight is None:
            flight = self._sessions[session_id] = _InFlight()
            lone = self._lone.pop(session_id, None)
            if lone is not None:
                flight.commits.append([lone, 0])
        return flight

    def end(self, session_id: str, identity: CommitIdentity) -> None:
        """A commit was answered, or is given up."""
        if self._lone.get(session_id) == identity.counter and identity.writer == self._id:
            del self._lone[session_id]
            return
        flight = self._sessions.get(session_id)
        if flight is None or identity.writer != self._id:
            return
        for commit in flight.commits:
            if commit[0] == identity.counter:
                commit[1] = 1
                break
        while flight.commits and flight.commits[0][1]:
            flight.commits.popleft()
        self._let_in(session_id, flight)

    def _let_in(self, session_id: str, flight: _InFlight) -> None:
        """Wake as many as have room; one that was woken and cancelled leaves its place to the next."""
        free = OUTCOME_WINDOW - len(flight.commits)
        while flight.waiting and free > 0:
            waiter = flight.waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                free -= 1
        if not flight.commits and not flight.waiting and self._sessions.get(session_id) is flight:
            del self._sessions[session_id]
