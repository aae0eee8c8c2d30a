"""What a frame shows: looked at now, or counted since the last one."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from miniagent_store.errors import SessionNotFoundError, StoreClosedError, StoreError
from miniagent_store.measuring.activity import Activity

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Health, Session, Stats

T = TypeVar("T")
SAMPLES = 60
# What expires within these is counted.
TERMS = ("1m", "1h", "1d")
# What is more than a read, or changes slowly, is not looked at with each frame: servers, and what expires.
SLOW_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One look.

    Attributes:
        url: the store's, without secrets.
        now: when; aware.
        health, stats: the store's; None where they could not be had. The health is up to 15 s old.
        commits: of all processes in each of the last seconds, at most 60, the newest last.
        messages: how many more there are a second than at the look before; None at the first.
        reads, listings: seconds that the last 60 of each took from here.
        expiring: how many sessions expire within each of `TERMS`, up to 15 s ago; empty where the store
            cannot say.
        busiest: sessions and their commits of the last minute; the session is None where it is gone.
        problem: why something is missing.
    """

    url: str
    now: datetime
    health: Health | None = None
    stats: Stats | None = None
    commits: list[int] = field(default_factory=list)
    messages: float | None = None
    reads: list[float] = field(default_factory=list)
    listings: list[float] = field(default_factory=list)
    expiring: dict[str, int] = field(default_factory=dict)
    busiest: list[tuple[str, int, Session | None]] = field(default_factory=list)
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; times in seconds."""
        return {
            "store": self.url,
            "now": self.now.isoformat(),
            "ok": self.health.ok if self.health else None,
            "problems": list(self.health.problems) if self.health else [],
            "problem": self.problem,
            "stats": self.stats.to_dict() if self.stats else None,
            "commits_per_second": rate(self.commits),
            "messages_per_second": self.messages,
            "read_seconds": quantiles(self.reads),
            "listing_seconds": quantiles(self.listings),
            "expiring": self.expiring,
            "busiest": [{"id": name, "commits": count} for name, count, _ in self.busiest],
        }


def rate(commits: list[int], seconds: int = 10) -> float:
    """Commits a second, over the last few."""
    last = commits[-seconds:]
    return sum(last) / len(last) if last else 0.0


def quantiles(samples: list[float]) -> dict[str, float] | None:
    """Median, 95 % and longest."""
    if not samples:
        return None
    ranked = sorted(samples)
    return {
        "p50": ranked[len(ranked) // 2],
        "p95": ranked[min(int(len(ranked) * 0.95), len(ranked) - 1)],
        "max": ranked[-1],
    }


class Watcher:
    """Watches a store in the background, and looks at it when it is asked to.

    Args:
        store: which.
        most: sessions that a frame names.
    """

    def __init__(self, store: SessionStore, most: int) -> None:
        self._store, self._most = store, most
        self._activity = Activity()
        self._reads: deque[float] = deque(maxlen=SAMPLES)
        self._listings: deque[float] = deque(maxlen=SAMPLES)
        self._health: Health | None = None
        self._expiring = dict[str, int]()
        self._slow_until = 0.0
        self._counted: tuple[float, int] | None = None
        self._task: asyncio.Task[None] | None = None
        self._lost: str | None = None

    async def __aenter__(self) -> Self:
        self._activity.rates(time.monotonic())
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _watch(self) -> None:
        try:
            async for event in self._store.watch():
                self._activity.note(event.session_id, event.version, time.monotonic())
        except StoreError as error:
            self._lost = str(error)

    async def look(self) -> Frame:
        """A frame of now; a store that is away is told in it, not raised.

        It takes two calls of the store and one a session that it names, at least one; four more each 15 s.

        Raises:
            StoreClosedError: the store was closed.
        """
        now = datetime.now(UTC)
        try:
            await self._look_slowly()
            stats = await self._store.stats()
            newest = await self._timed(self._listings, self._store.list(limit=1))
            busiest = [await self._session(*each) for each in self._busy()]
            if not busiest:
                # Something is read each time, or times would be told of a while ago.
                for session in newest.items:
                    await self._session(session.id, 0)
        except StoreClosedError:
            raise
        except StoreError as error:
            return Frame(
                self._store.url,
                now,
                self._health,
                commits=self._activity.rates(time.monotonic()),
                problem=str(error),
            )
        return Frame(
            self._store.url,
            now,
            self._health,
            stats,
            self._activity.rates(time.monotonic()),
            self._message_rate(stats),
            list(self._reads),
            list(self._listings),
            self._expiring,
            busiest,
            self._lost or stats.problem,
        )

    def _busy(self) -> list[tuple[str, int]]:
        return self._activity.busiest(self._most, time.monotonic())

    async def _look_slowly(self) -> None:
        if time.monotonic() < self._slow_until:
            return
        self._health = await self._store.health()
        counts = {term: await self._store.count_expiring(term) for term in TERMS}
        self._expiring = {term: count for term, count in counts.items() if count is not None}
        # Not where that failed: a store that is away is looked at again with the next frame.
        self._slow_until = time.monotonic() + SLOW_SECONDS

    async def _session(self, session_id: str, commits: int) -> tuple[str, int, Session | None]:
        session: Session | None = None
        with suppress(SessionNotFoundError):
            session = await self._timed(self._reads, self._store.get(session_id))
        return session_id, commits, session

    async def _timed(self, samples: deque[float], work: Awaitable[T]) -> T:
        began = time.perf_counter()
        result = await work
        samples.append(time.perf_counter() - began)
        return result

    def _message_rate(self, stats: Stats) -> float | None:
        now, before = time.monotonic(), self._counted
        self._counted = (now, stats.messages)
        return None if before is None else (stats.messages - before[1]) / max(now - before[0], 0.001)
