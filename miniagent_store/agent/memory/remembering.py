"""Remembering what is said, in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable

from miniagent_store.agent.memory.agent_memory import AgentMemory
from miniagent_store.agent.memory.catching_up import left_behind
from miniagent_store.errors import LockTimeoutError, StoreClosedError
from miniagent_store.store.memory.anchoring import ANCHOR
from miniagent_store.store.protocol import SessionStore
from miniagent_store.store.turn import Turn
from miniagent_store.values import Session

logger: logging.Logger = logging.getLogger("miniagent_store")
# Sessions of which is remembered at the same time; of one, one thing after another.
AT_ONCE = 4
# Seconds that an agent which ends goes on remembering; the rest is done when one starts.
FAREWELL = 3.0
# Seconds between two lines in the log that say that it fails.
SAY_AGAIN = 60.0
# Sessions that are looked through on start, and by the housekeeping, those last active first.
ON_START, IN_A_PASS = 200, 2000
# Sessions that were active so many seconds before the last look are looked at again.
OVERLAP = 120.0
_KNOWN = 4096
_LOCK = "agent.memory"


class Remembering:
    """Follows the sessions of an agent.

    The turn that stores the first messages of a session also has it name its scope, in the same commit: so
    whoever looks after a crash knows what was to be remembered, and whoever deletes it knows where.

    Args:
        store: where the sessions are.
        memory: what to remember.
    """

    def __init__(self, store: SessionStore, memory: AgentMemory) -> None:
        self._store, self._memory = store, memory
        self._due: dict[str, str] = {}
        self._wake, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._anchored: dict[tuple[str, str], None] = {}
        self._said_at = self._looked_at = float("-inf")
        self._starting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, with what was left behind."""
        if self._task is None:
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._run(), name="miniagent remembering")
            self._starting = loop.create_task(self._start(), name="miniagent remembering: catching up")

    async def stop(self) -> None:
        """End; what is due is done if that does not take long."""
        tasks = [each for each in (self._starting, self._task) if each is not None]
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), FAREWELL)
        self._task = self._starting = None
        for each in tasks:
            each.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def anchor(self, turn: Turn, session: Session) -> None:
        """Have the commit of a turn say where it is remembered, if its session may not say so yet."""
        scope = self._memory.scope_of(session)
        if scope is None or (session.incarnation, scope) in self._anchored:
            return
        turn.state.set_if_absent(ANCHOR, {"scopes": [scope]})

    def said(self, session: Session) -> None:
        """Something was said in a session, and is stored."""
        scope = self._memory.scope_of(session)
        if scope is None:
            return
        self._anchored[session.incarnation, scope] = None
        if len(self._anchored) > _KNOWN:
            self._anchored.pop(next(iter(self._anchored)))
        self._add([(session.id, scope)])

    def _add(self, sessions: Iterable[tuple[str, str]]) -> None:
        for session_id, scope in sessions:
            # The last in line, unless it stands there.
            self._due.setdefault(session_id, scope)
        if self._due:
            self._idle.clear()
            self._wake.set()

    async def settled(self) -> None:
        """Wait until all that is due has been tried."""
        if self._starting is not None:
            await asyncio.wait([self._starting])
        await self._idle.wait()

    async def catch_up(self, most: int = IN_A_PASS) -> None:
        """Look for what was said and is not remembered, since whoever was to do it died or failed.

        Args:
            most: so many sessions are looked at, those last active first; and none that was not active
                since the last look.
        """
        since, now = self._looked_at, time.time()
        sessions = await left_behind(self._store, self._memory, most=most, since=since - OVERLAP)
        self._add(sessions)
        self._looked_at = now

    async def look_after(self) -> None:
        """`catch_up`, by one of all instances at a time."""
        try:
            async with self._store.lock(_LOCK, wait=0):
                await self.catch_up()
        except LockTimeoutError:
            pass  # another one does

    async def _start(self) -> None:
        try:
            await self.catch_up(ON_START)
        except StoreClosedError:
            return
        except Exception as error:
            self._say("what was left behind", error)
            logger.debug("nothing was caught up with", exc_info=True)
        finally:
            # The first pass of the housekeeping looks further.
            self._looked_at = float("-inf")

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._due:
                some = list(self._due.items())[:AT_ONCE]
                for session_id, _ in some:
                    # Before it is looked at: what is said from here on makes it due again.
                    del self._due[session_id]
                try:
                    await asyncio.gather(*(self._follow(*each) for each in some))
                except StoreClosedError:
                    self._due.clear()
            self._idle.set()

    async def _follow(self, session_id: str, scope: str) -> None:
        memory = self._memory
        try:
            await memory.open(self._store, scope).follow(
                session_id, memory.remember, ttl=memory.ttl, forget_on_expiry=memory.forget_on_expiry
            )
        except StoreClosedError:
            raise
        except Exception as error:
            # It stands in the log, so that the housekeeping finds it.
            self._looked_at = float("-inf")
            self._say(f"session {session_id!r}", error)
            logger.debug("session %r was not remembered", session_id, exc_info=True)

    def _say(self, what: str, error: Exception) -> None:
        if time.monotonic() - self._said_at >= SAY_AGAIN:
            self._said_at = time.monotonic()
            logger.warning(
                "%s could not be remembered, and will be tried again: %s: %s",
                what,
                type(error).__name__,
                error,
            )
