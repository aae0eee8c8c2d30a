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
    """Commits of one session from the oldest unanswered on, as [counter, answered].

    Attributes:
        waiting: new commits, for room.
        again: counters of commits that are to be sent again, and
        in_line: what they wait with until those before them are answered.
        woken: how many new commits have room and did not go on yet.
    """

    commits: deque[list[int]] = field(default_factory=deque)
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    again: set[int] = field(default_factory=set)
    in_line: list[asyncio.Future[None]] = field(default_factory=list)
    woken: int = 0

    @property
    def has_room(self) -> bool:
        return not self.again and len(self.commits) < OUTCOME_WINDOW


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
        """The identity of the next commit on a session.

        Waits while too many are unanswered, and while one is sent again, which is to stay before it.

        Args:
            session_id: the session.
            clock: the backend's, in ms; asked when the wait is over.
        """
        flight = self._flight(session_id)
        # Behind those that wait, and those that were woken and have not gone on yet.
        if flight.waiting or flight.woken or not flight.has_room:
            turn = asyncio.get_running_loop().create_future()
            flight.waiting.append(turn)
            while True:
                try:
                    await turn
                except asyncio.CancelledError:
                    if turn in flight.waiting:
                        flight.waiting.remove(turn)
                    elif not turn.cancelled():
                        flight.woken -= 1
                    self._let_in(session_id, flight)
                    raise
                flight.woken -= 1
                if flight.has_room:
                    break
                turn = asyncio.get_running_loop().create_future()
                flight.waiting.appendleft(turn)
        self._counter += 1
        flight.commits.append([self._counter, 0])
        return CommitIdentity(self._id, self._counter, clock() + self._lifetime_ms)

    async def in_line(self, session_id: str, identity: CommitIdentity) -> None:
        """Before a commit is sent again: wait until those that were begun before it are answered.

        So commits on one session that are under way together keep their order, whatever becomes of replies.
        """
        if identity.writer != self._id:
            return
        flight = self._flight(session_id)
        flight.again.add(identity.counter)
        while flight.commits and flight.commits[0][0] < identity.counter:
            answered = asyncio.get_running_loop().create_future()
            flight.in_line.append(answered)
            await answered

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
        flight.again.discard(identity.counter)
        in_line, flight.in_line = flight.in_line, []
        for answered in in_line:
            if not answered.done():
                answered.set_result(None)
        self._let_in(session_id, flight)

    def _let_in(self, session_id: str, flight: _InFlight) -> None:
        """Wake as many as have room; one that was woken and cancelled leaves its place to the next."""
        free = 0 if flight.again else OUTCOME_WINDOW - len(flight.commits) - flight.woken
        while flight.waiting and free > 0:
            waiter = flight.waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                flight.woken += 1
                free -= 1
        idle = not (flight.commits or flight.waiting or flight.woken)
        if idle and self._sessions.get(session_id) is flight:
            del self._sessions[session_id]
