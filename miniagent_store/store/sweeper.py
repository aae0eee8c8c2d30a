"""Sweeping in the background, in one of all instances."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from miniagent_store.errors import InvalidArgumentError, LockTimeoutError, StoreClosedError, StoreError
from miniagent_store.options import TTL, parse_duration

if TYPE_CHECKING:
    from miniagent_store.store.leases import Lease
    from miniagent_store.store.protocol import SessionStore

logger: logging.Logger = logging.getLogger("miniagent_store")
LOCK = "sweeper"
# Seconds after which another instance may take over from one that died.
LEASE_SECONDS = 30.0


class Sweeper:
    """Sweeps again and again while it holds a lock that all instances ask for.

    ``async with store.sweeper(every="5m"): …``, or `start` and `stop`.
    """

    def __init__(self, store: SessionStore, *, every: TTL = 60, reconcile_every: TTL = "1d") -> None:
        self._store = store
        self._every = _seconds(every, "every")
        never = isinstance(reconcile_every, str) and reconcile_every.strip().lower() == "never"
        self._reconcile_every = math.inf if never else _seconds(reconcile_every, "reconcile_every")
        self._task: asyncio.Task[None] | None = None
        self._is_elected = False

    @property
    def is_elected(self) -> bool:
        """Whether it is this instance that sweeps."""
        return self._is_elected

    async def start(self) -> None:
        """Begin, unless begun."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="miniagent sweeper")

    async def stop(self) -> None:
        """End, and wait until it has ended; another instance takes over when it looks again."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _run(self) -> None:
        # Those that start together need not ask together, and what ends soon need not have swept.
        await asyncio.sleep(self._every * random.uniform(0.5, 1))
        while True:
            try:
                async with self._store.lock(LOCK, ttl=LEASE_SECONDS, wait=0) as lease:
                    self._is_elected = True
                    await self._sweep_while(lease)
            except LockTimeoutError:
                pass  # another instance sweeps
            except StoreClosedError:
                return
            except StoreError as error:
                logger.warning("the sweeper failed and will be tried again: %s", error)
            except Exception:
                logger.exception("the sweeper failed and will be tried again")
            finally:
                self._is_elected = False
            await asyncio.sleep(min(self._every, LEASE_SECONDS))

    async def _sweep_while(self, lease: Lease) -> None:
        # Not at once: each new one would walk over all that is stored.
        reconciled_at = time.monotonic()
        while not lease.lost:
            await self._store.sweep()
            if time.monotonic() - reconciled_at >= self._reconcile_every and not lease.lost:
                mended = await self._store.reconcile()
                if mended:
                    logger.warning("%d places of sessions were wrong and have been put right", mended)
                reconciled_at = time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await lease.wait_lost()


def _seconds(value: TTL, what: str) -> float:
    seconds = parse_duration(value, what=what)
    if not seconds > 0:
        raise InvalidArgumentError(f"{what} must be above zero seconds, not {value!r}")
    return seconds
