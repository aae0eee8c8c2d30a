"""Turns and locks: taken in order, renewed while held, and known to be lost before they are."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from dataclasses import replace
from types import TracebackType
from typing import Literal

from miniagent_store.backend import LeaseGrant, LeaseHeld, LeaseRequest, ReadPlan, Topic
from miniagent_store.cancellation import to_the_end
from miniagent_store.errors import LockTimeoutError, SessionDamagedError, StoreError
from miniagent_store.store.core import StoreCore

logger = logging.getLogger("miniagent_store")
TURN_TTL = 15.0
# Looked at again this often even if no wake-up comes.
WATCHDOG = 1.0


class LeaseQueue:
    """Who waits for which lease in this process, first come, first served."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, str], tuple[asyncio.Lock, list[int]]] = {}

    def enter(self, key: tuple[str, str]) -> asyncio.Lock:
        lock, users = self._locks.setdefault(key, (asyncio.Lock(), [0]))
        users[0] += 1
        return lock

    def leave(self, key: tuple[str, str]) -> None:
        _, users = self._locks[key]
        users[0] -= 1
        if not users[0]:
            del self._locks[key]


class Lease:
    """A lock that is held; renewed every third of its TTL until released.

    Attributes:
        name: the lock, or the session whose turn it is.
        fence: higher than any before; pass the lease as ``fence=`` to protect a commit with it.
    """

    def __init__(self, core: StoreCore, request: LeaseRequest) -> None:
        self._core, self._request = core, request
        self.name = request.name
        self.fence = 0
        self._until = 0.0
        self._lost = asyncio.Event()
        self._renewal: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

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
            self._extend(asked_at)
            self._schedule()
            return

    def _lose(self) -> None:
        if not self._lost.is_set():
            self._lost.set()
            self._core.tell("lock_lost", name=self.name)

    async def stop(self) -> None:
        """Renew no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)

    async def release(self) -> None:
        """Let go, so that the next one need not wait for the lease to end."""
        await self.stop()
        try:
            await self._core.backend.release(self._request, self.fence)
        except StoreError as error:
            logger.warning("lock %r could not be released and will expire: %s", self.name, error)


class LeaseHolder:
    """Takes a lease, waiting for it, and gives it back. The ground of turns and locks."""

    def __init__(
        self,
        core: StoreCore,
        queue: LeaseQueue,
        scope: Literal["turn", "lock"],
        name: str,
        *,
        ttl: float,
        wait: float,
    ) -> None:
        self._core, self._queue, self._wait = core, queue, wait
        self._key = (scope, name)
        self._local: asyncio.Lock | None = None
        self._request = LeaseRequest(
            scope,
            name,
            owner=os.urandom(12).hex(),
            ttl_ms=int(ttl * 1000),
            holder=f"{socket.gethostname()}:{os.getpid()}",
        )
        self.lease = Lease(core, self._request)
        if core.observing is not None:
            core.observing.attach_wait(self, f"{scope}.acquire", name if scope == "turn" else None)

    @property
    def lease_owner(self) -> str:
        """The token under which the lease is held."""
        return self._request.owner

    async def acquire(self, plan: ReadPlan | None = None, *, must_exist: bool = False) -> LeaseGrant:
        """Take the lease.

        Args:
            plan: what to read in the same step.
            must_exist: for a turn: only if the session is there.

        Raises:
            LockTimeoutError: someone else held it for as long as we would wait.
        """
        await self._core.ready()
        self._request = replace(self._request, plan=plan, must_exist=must_exist)
        started = time.monotonic()
        local = self._queue.enter(self._key)
        try:
            await self._enter_line(local, started)
        except BaseException:
            self._queue.leave(self._key)
            raise
        self._local = local
        try:
            return await self._take(started)
        except BaseException:
            self._leave_line()
            raise

    async def release(self) -> None:
        """Give it back."""
        try:
            await self.lease.release()
        finally:
            self._leave_line()

    async def forget(self) -> None:
        """Stop to renew a lease that was given back otherwise, or that cannot be."""
        try:
            await self.lease.stop()
        finally:
            self._leave_line()

    def _leave_line(self) -> None:
        if self._local is not None:
            self._local.release()
            self._local = None
            self._queue.leave(self._key)

    async def _enter_line(self, local: asyncio.Lock, started: float) -> None:
        if not local.locked():
            await local.acquire()
            return
        if self._wait <= 0:
            raise self._timeout("this process", self._request.ttl_ms, started)
        in_time = True
        try:
            async with asyncio.timeout(max(self._wait, 0.001)):
                await local.acquire()
        except TimeoutError:
            in_time = False
        if not in_time:
            raise self._timeout("this process", self._request.ttl_ms, started)

    async def _take(self, started: float) -> LeaseGrant:
        backend, name = self._core.backend, self._request.name
        grant, asked_at = await self._ask()
        if isinstance(grant, LeaseGrant):
            return self._held(grant, asked_at)
        topic = Topic("session" if self._request.scope == "turn" else "lock", name)
        subscription = await self._core.retrying.attempt(
            "acquire", name, lambda _: backend.subscribe(topic)
        )
        try:
            while True:
                grant, asked_at = await self._ask()
                if isinstance(grant, LeaseGrant):
                    return self._held(grant, asked_at)
                left = started + self._wait - time.monotonic()
                if left <= 0:
                    raise self._timeout(grant.holder, grant.remaining_ms, started)
                await subscription.wait(min(left, grant.remaining_ms / 1000 + 0.001, WATCHDOG))
        finally:
            await backend.unsubscribe(topic, subscription)

    async def _ask(self) -> tuple[LeaseGrant | LeaseHeld, float]:
        asked_at = time.monotonic()
        try:
            grant = await self._core.retrying.attempt(
                "acquire", self._request.name, lambda _: self._core.backend.acquire(self._request)
            )
        except (asyncio.CancelledError, SessionDamagedError):
            # Of a damaged session it may have been taken before that was seen.
            await to_the_end(self._give_back())
            raise
        return grant, asked_at

    async def _give_back(self) -> None:
        """Release what may have been taken for one who did not hear of it: the next need not wait."""
        backend, request = self._core.backend, replace(self._request, plan=None)
        try:
            # The same owner is told of its own lease again.
            grant = await backend.acquire(request)
            if isinstance(grant, LeaseGrant):
                await backend.release(request, grant.fence)
        except StoreError as error:
            logger.warning("lock %r could not be released and will expire: %s", request.name, error)

    def _held(self, grant: LeaseGrant, asked_at: float) -> LeaseGrant:
        nothing_there = grant.read is not None and grant.read.record is None and self._request.must_exist
        if nothing_there:
            self._leave_line()
        else:
            self.lease.held(grant, asked_at)
        return grant

    def _timeout(self, holder: str, remaining_ms: int, started: float) -> LockTimeoutError:
        return LockTimeoutError(
            self._request.name,
            holder=holder,
            remaining=remaining_ms / 1000,
            waited=time.monotonic() - started,
        )


class Lock:
    """``async with store.lock(name) as lease``: any name, apart from turns."""

    def __init__(self, core: StoreCore, queue: LeaseQueue, name: str, *, ttl: float, wait: float) -> None:
        self._holder = LeaseHolder(core, queue, "lock", name, ttl=ttl, wait=wait)

    async def __aenter__(self) -> Lease:
        await self._holder.acquire()
        return self._holder.lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._holder.release()

    def __repr__(self) -> str:
        return f"Lock({self._holder.lease.name!r})"
