"""Turns and locks: taken in order, renewed while held, and known to be lost before they are."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections import deque
from dataclasses import replace
from types import TracebackType
from typing import Literal

from miniagent_store.backend import LeaseGrant, LeaseHeld, LeaseRequest, ReadPlan, Topic
from miniagent_store.errors import LockTimeoutError, SessionDamagedError, StoreError
from miniagent_store.store.background import Background
from miniagent_store.store.core import StoreCore
from miniagent_store.store.retrying import FIRST_BACKOFF, LAST_BACKOFF, NOT_APPLIED

logger: logging.Logger = logging.getLogger("miniagent_store")
TURN_TTL = 15.0
# A place in line is kept so long without asking again; who is gone holds up the others no longer.
PLACE_TTL = 15.0
# Asked again this often even if no wake-up comes; more often by the first in line, who would be passed over
# soon, and by the second, since the first may be gone and nobody else would notice.
WATCHDOG, WATCHDOGS = 5.0, (1.0, 2.0)


class Lease:
    """A lock that is held; renewed every third of its TTL until released.

    Attributes:
        name: the lock, or the session whose turn it is.
        fence: higher than any before; pass the lease as ``fence=`` to protect a commit with it.
    """

    def __init__(self, core: StoreCore, background: Background, request: LeaseRequest) -> None:
        self._core, self._background, self._request = core, background, request
        self.name: str = request.name
        self.fence: int = 0
        self._until = 0.0
        self._lost = asyncio.Event()
        self._renewal: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._end: asyncio.TimerHandle | None = None

    @property
    def lost(self) -> bool:
        """Whether it is no longer certain that the lock is held; true before it expires."""
        if not self._lost.is_set() and time.monotonic() >= self._until:
            self._lose()
        return self._lost.is_set()

    async def wait_lost(self) -> None:
        """Wait until the lock is lost."""
        await self._lost.wait()

    def held(self, grant: LeaseGrant, asked_at: float) -> None:
        """Start to renew. The lease counts from before the request was sent."""
        self.fence = grant.fence
        self._extend(asked_at)
        self._schedule()

    def _extend(self, asked_at: float) -> None:
        self._until = asked_at + self._request.ttl_ms / 1000 * 0.9
        if self._end is not None:
            self._end.cancel()
        # Also where a renewal hangs: who waits for the loss hears of it in time.
        left = self._until - time.monotonic()
        self._end = asyncio.get_running_loop().call_later(max(left, 0) + 0.001, lambda: self.lost)

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._request.ttl_ms / 3000, self._start_renewal)

    def _start_renewal(self) -> None:
        self._renewal = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        while not self.lost:
            asked_at = time.monotonic()
            try:
                if not await self._core.backend.renew(self._request, self.fence):
                    self._lose()
                    return
            except StoreError as error:
                logger.warning("lock %r could not be renewed: %s", self.name, error)
                await asyncio.sleep(min(0.1, self._request.ttl_ms / 10_000))
                continue
            if self.lost:
                return
            self._extend(asked_at)
            self._schedule()
            return

    def _lose(self) -> None:
        if not self._lost.is_set():
            self._lost.set()
            self._core.tell("lock_lost", name=self.name)

    async def stop(self) -> None:
        """Renew no more."""
        for timer in (self._timer, self._end):
            if timer is not None:
                timer.cancel()
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)

    async def release(self) -> None:
        """Let go, so that the next one need not wait for the lease to end.

        Where no answer comes it is tried again beside the caller, until the lease has ended by itself.
        """
        await self.stop()
        try:
            await self._core.backend.release(self._request, self.fence)
        except StoreError as error:
            self.release_later(error)
        except asyncio.CancelledError as error:
            self.release_later(error)
            raise

    def release_later(self, problem: BaseException) -> None:
        """Let go beside the caller, who need not wait for a backend that does not answer."""
        until = time.monotonic() + self._request.ttl_ms / 1000
        self._background.later(self._release_again(problem, until))

    async def _release_again(self, problem: BaseException, until: float) -> None:
        backoff, known = FIRST_BACKOFF, False
        try:
            while time.monotonic() + backoff < until:
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LAST_BACKOFF)
                try:
                    await self._core.backend.release(self._request, self.fence)
                except StoreError as error:
                    problem = error
                else:
                    known = True
                    return
        finally:
            if not known:
                why = str(problem) or type(problem).__name__
                logger.warning("lock %r could not be released and will expire: %s", self.name, why)


class LeaseHolder:
    """Takes a lease, waiting for it, and gives it back. The ground of turns and locks."""

    def __init__(
        self,
        core: StoreCore,
        background: Background,
        scope: Literal["turn", "lock"],
        name: str,
        *,
        ttl: float,
        wait: float,
    ) -> None:
        self._core, self._background, self._wait = core, background, wait
        self._request = LeaseRequest(
            scope,
            name,
            owner=os.urandom(12).hex(),
            ttl_ms=max(int(ttl * 1000), 1),
            holder=f"{socket.gethostname()}:{os.getpid()}",
        )
        self.lease: Lease = Lease(core, background, self._request)
        # Whether something may stand under our name: a lease that we did not hear of, or a place in line.
        self._stands = False
        if core.observing is not None:
            core.observing.attach_wait(self, f"{scope}.acquire", name if scope == "turn" else None)

    @property
    def lease_owner(self) -> str:
        """The token under which the lease is held."""
        return self._request.owner

    async def acquire(self, plan: ReadPlan | None = None, *, must_exist: bool = False) -> LeaseGrant:
        """Take the lease; first come, first served.

        Args:
            plan: what to read in the same step.
            must_exist: for a turn: only if the session is there.

        Raises:
            LockTimeoutError: someone else held it for as long as we would wait.
        """
        await self._core.ready()
        self._request = replace(self._request, plan=plan, must_exist=must_exist)
        started = time.monotonic()
        try:
            answer, asked_at = await self._take(started + self._wait)
            if isinstance(answer, LeaseHeld):
                raise self._timeout(answer, started)
        except (asyncio.CancelledError, LockTimeoutError, SessionDamagedError):
            # Of a damaged session it may have been taken before that was seen.
            if self._stands:
                await self.lease.release()
            raise
        except StoreError as error:
            if self._stands:
                self.lease.release_later(error)
            raise
        if not (must_exist and answer.read is not None and answer.read.record is None):
            self.lease.held(answer, asked_at)
            self._core.tell("lock_acquired", name=self._request.name, waited=time.monotonic() - started)
        return answer

    async def release(self) -> None:
        """Give it back."""
        await self.lease.release()

    async def forget(self, problem: StoreError | None = None) -> None:
        """Stop to renew a lease that was given back otherwise, or, because of `problem`, cannot be yet."""
        await self.lease.stop()
        if problem is not None:
            self.lease.release_later(problem)

    async def _take(self, until: float) -> tuple[LeaseGrant | LeaseHeld, float]:
        """The last answer, and when it was asked for."""
        answer, asked_at = await self._ask(until)
        if isinstance(answer, LeaseGrant) or self._wait <= 0:
            return answer, asked_at
        backend, request = self._core.backend, self._request
        topic = Topic(request.scope, request.name, request.owner)
        subscription = await self._core.retrying.attempt(
            "acquire", request.name, lambda _: backend.subscribe(topic)
        )
        try:
            while True:
                answer, asked_at = await self._ask(until)
                left = until - time.monotonic()
                if isinstance(answer, LeaseGrant) or left <= 0:
                    return answer, asked_at
                watchdog = WATCHDOGS[answer.place] if answer.place < len(WATCHDOGS) else WATCHDOG
                await subscription.wait(min(left, answer.claim_ms / 1000 + 0.001, watchdog))
        finally:
            await backend.unsubscribe(topic, subscription)

    async def _ask(self, until: float) -> tuple[LeaseGrant | LeaseHeld, float]:
        asked_at, now_ms = time.monotonic(), self._core.backend.now_ms()
        left_ms = int(min(until - asked_at, PLACE_TTL) * 1000)
        request = replace(
            self._request,
            line_until_ms=now_ms + left_ms if left_ms > 0 else 0,
            not_after_ms=now_ms + int(self._core.options.deadline * 1000),
        )

        async def once(_: bool) -> LeaseGrant | LeaseHeld:
            try:
                answer = await self._core.backend.acquire(request)
            except NOT_APPLIED:
                raise
            except BaseException:
                self._stands = True
                raise
            self._stands = self._stands or left_ms > 0 or isinstance(answer, LeaseGrant)
            return answer

        return await self._core.retrying.attempt("acquire", request.name, once), asked_at

    def _timeout(self, held: LeaseHeld, started: float) -> LockTimeoutError:
        return LockTimeoutError(
            self._request.name,
            holder=held.holder,
            remaining=(held.remaining_ms or held.claim_ms) / 1000,
            waited=time.monotonic() - started,
        )


class Lock:
    """``async with store.lock(name) as lease``: any name, apart from turns."""

    def __init__(
        self, core: StoreCore, background: Background, name: str, *, ttl: float, wait: float
    ) -> None:
        self._core, self._background, self._name = core, background, name
        self._ttl, self._wait = ttl, wait
        # Tasks that share this object stand in line one by one, as those do that do not.
        self._held: deque[LeaseHolder] = deque()

    async def __aenter__(self) -> Lease:
        holder = LeaseHolder(
            self._core, self._background, "lock", self._name, ttl=self._ttl, wait=self._wait
        )
        await holder.acquire()
        self._held.append(holder)
        return holder.lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._held.popleft().release()

    def __repr__(self) -> str:
        return f"Lock({self._name!r})"
