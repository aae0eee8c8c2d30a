"""The seed's locks: taken at once or not at all, never renewed, and freed only by who holds them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from miniagent_store.backend import LeaseGrant, LeaseRequest
from miniagent_store.errors import InvalidArgumentError
from miniagent_store.ids import check_id
from miniagent_store.store.store import Store

LOCK_SECONDS = 10


class Locks:
    """Locks of one manager, the same as those of `SessionStore.lock`, without its renewal.

    Args:
        store: whose locks they are.
        client: gives a client of redis-py.
        prefix: of their keys.
    """

    def __init__(self, store: Store, client: Callable[[], Any], prefix: str) -> None:
        self._core, self._client, self._prefix = store._core, client, prefix
        self._held: dict[str, tuple[LeaseRequest, int]] = {}

    async def acquire(self, resource: str, seconds: float | None) -> bool:
        check_id(resource, what="lock name")
        seconds = LOCK_SECONDS if seconds is None else seconds
        if not seconds > 0:
            raise InvalidArgumentError(f"timeout must be above zero seconds, not {seconds!r}")
        await self._core.ready()
        # An owner for each time: two tasks of one manager are two, and one of them has to wait.
        owner = os.urandom(12).hex()
        holder = f"{socket.gethostname()}:{os.getpid()}"
        request = LeaseRequest("lock", resource, owner, max(int(seconds * 1000), 1), holder)
        grant = await self._core.retrying.attempt(
            "acquire", resource, lambda _: self._core.backend.acquire(request)
        )
        if not isinstance(grant, LeaseGrant):
            return False
        self._held[resource] = (request, grant.fence)
        return True

    async def release(self, resource: str) -> bool:
        await self._core.ready()
        held = self._held.pop(resource, None)
        if held is None:
            return False
        request, fence = held
        backend, attempt = self._core.backend, self._core.retrying.attempt
        try:
            # Renewed first, since only that tells a lock that has ended from one that is held.
            if not await attempt("renew", resource, lambda _: backend.renew(request, fence)):
                return False
            # A second try finds it free where only the answer to the first was lost: freed all the same.
            await attempt("release", resource, lambda _: backend.release(request, fence))
        except BaseException:
            self._held.setdefault(resource, held)
            raise
        return True

    async def is_locked(self, resource: str) -> bool:
        # The contract of backends has no way to look without taking; this is how `lock:{name}` lies in
        # Redis. The key outlives the lock, so that fences never go back.
        await self._core.ready()
        async with self._client().pipeline(transaction=False) as pipe:
            pipe.hmget(f"{self._prefix}{{{check_id(resource, what='lock name')}}}", "owner", "until")
            pipe.time()
            (owner, until_ms), (seconds, micros) = await pipe.execute()
        return bool(owner) and int(until_ms) > seconds * 1000 + micros // 1000
