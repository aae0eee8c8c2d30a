"""Writers that go on whatever happens to the servers, and remember what they were told.

    async with Workload(server.url, writers=8) as work:
        work.start()
        ...                       # something is broken and mended
        await work.stop()
        (await work.report()).check()

Each message has a text of its own, so that it can be seen afterwards what is missing and what is there
twice. A commit of unknown outcome is asked for again with its `commit_id`, as a careful caller does.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any, Literal, Self

from miniagent_store.errors import (
    DurabilityError,
    FencedError,
    LockLostError,
    OutcomeUnknownError,
    StoreError,
)
from miniagent_store.factory import open_store
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.oracle import (
    COUNTER,
    Attempt,
    Outcome,
    Report,
    judge,
    judge_expiry,
    name_of_first,
)
from miniagent_store.testing.servers import Server
from miniagent_store.values import Message

Kind = Literal["append", "turn", "state", "counter", "first", "pop"]
MIX: Sequence[Kind] = ("append", "turn", "state", "counter")
# Seconds for which an unknown outcome is asked for again; longer than an identity is good for.
ASK_AGAIN = 45.0
# Seconds that writers may take to end.
FAREWELL = 90.0


class Workload:
    """Writers on sessions, through the public API.

    Args:
        url: of the store.
        sessions: how many; writer n works on the sessions n, n + writers, …, or shares session
            n modulo sessions where there are fewer sessions than writers.
        writers: how many.
        writers_per_store: so many share an instance of the store.
        mix: what each writer does, in turn; "first" makes a log, a state value and a counter.
        pause: seconds between two commits of a writer.
        stores: instances to work with, which stay open; None for some of its own.
        options: further options of `open_store`. Without `ttl` it is an hour, without `namespace` random.

    Attributes:
        attempts: what was tried, in the order in which it was known.
        session_ids: all sessions.
        stores: all instances.
    """

    def __init__(
        self,
        url: str,
        *,
        sessions: int = 8,
        writers: int = 8,
        writers_per_store: int = 4,
        mix: Sequence[Kind] = MIX,
        pause: float = 0.002,
        stores: Sequence[SessionStore] | None = None,
        **options: Any,
    ) -> None:
        self._url, self._writers, self._mix, self._pause = url, writers, mix, pause
        self._options: dict[str, Any] = {"ttl": "1h", "namespace": uuid.uuid4().hex, **options}
        self._per_store, self._given = writers_per_store, stores
        self._resources = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._started = self._stopped = 0.0
        self._marks: list[float] = []
        self._done = [0] * writers
        self.session_ids: list[str] = [f"s{number}" for number in range(sessions)]
        self.attempts: list[Attempt] = []
        self.stores: list[SessionStore] = list(stores or ())

    @property
    def namespace(self) -> str:
        """Of all its sessions."""
        return str(self._options["namespace"])

    def sessions_of(self, writer: int) -> Sequence[str]:
        """On which sessions a writer works."""
        return self.session_ids[writer :: self._writers] or [
            self.session_ids[writer % len(self.session_ids)]
        ]

    async def __aenter__(self) -> Self:
        async with self._resources:
            if self._given is None:
                for _ in range(0, self._writers, self._per_store):
                    store = open_store(self._url, **self._options)
                    self.stores.append(await self._resources.enter_async_context(store))
            for session_id in self.session_ids:
                await self.stores[0].create(session_id, user_id="u")
            self._resources = self._resources.pop_all()
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._resources.aclose()

    # Running

    def start(self) -> None:
        """Let the writers begin."""
        self._stopping.clear()
        self._started = time.monotonic()
        self._tasks = [asyncio.create_task(self._write(writer)) for writer in range(self._writers)]

    async def stop(self) -> None:
        """Wait until each writer has ended what it was doing.

        Raises:
            TimeoutError: they do not end.
            Exception: a writer was told something else than an error of the store.
        """
        self._stopped = time.monotonic()
        self._stopping.set()
        tasks, self._tasks = self._tasks, []
        async with asyncio.timeout(FAREWELL):
            await asyncio.gather(*tasks)

    async def run(self, seconds: float) -> None:
        """Let the writers work for a while, and stop them."""
        self.start()
        await asyncio.sleep(seconds)
        await self.stop()

    async def acknowledge(self, count: int, timeout: float = 60.0) -> None:
        """Wait until so many more commits were acknowledged by each writer.

        Args:
            count: by each of them.
            timeout: seconds.

        Raises:
            TimeoutError: they were not.
        """
        wanted = [done + count for done in self._done]
        until = time.monotonic() + timeout
        while behind := [at for at, least in enumerate(wanted) if self._done[at] < least]:
            if any(task.done() for task in self._tasks):
                await asyncio.gather(*self._tasks)
                raise RuntimeError("the writers have been stopped")
            if time.monotonic() > until:
                told = {repr(each.error) for each in self.attempts[-1000:] if each.writer in behind}
                raise TimeoutError(f"the writers {behind} were not acknowledged; they were told {told}")
            await asyncio.sleep(0.01)

    def mark(self) -> None:
        """Note that a fault begins now: recovery counts from the first one."""
        self._marks.append(time.monotonic())

    # Writing

    async def _write(self, writer: int) -> None:
        store, sessions = (
            self.stores[writer // self._per_store % len(self.stores)],
            self.sessions_of(writer),
        )
        number = 0
        while not self._stopping.is_set():
            number += 1
            kind, session_id = self._mix[number % len(self._mix)], sessions[number % len(sessions)]
            attempt = await self._attempt(store, writer, session_id, kind, number)
            self.attempts.append(attempt)
            self._done[writer] += attempt.outcome is Outcome.ACKNOWLEDGED
            await asyncio.sleep(self._pause)

    async def _attempt(
        self, store: SessionStore, writer: int, session_id: str, kind: Kind, number: int
    ) -> Attempt:
        """One commit, asked for until its outcome is known."""
        texts: tuple[str, ...] = ()
        if kind in {"append", "turn"}:
            texts = (f"{writer}/{number}", f"{writer}/{number}+")
        until = time.monotonic() + ASK_AGAIN
        doubt: OutcomeUnknownError | None = None
        problem: StoreError | None = None
        while True:
            commit_id = doubt.commit_id if doubt else None
            try:
                popped = await self._commit(store, session_id, kind, writer, number, texts, commit_id)
                outcome, problem, texts = Outcome.ACKNOWLEDGED, None, texts or popped
            except DurabilityError as error:
                outcome, problem = Outcome.WEAK, error
            except OutcomeUnknownError as error:
                doubt = problem = error
                if not error.final and error.commit_id and time.monotonic() < until:
                    continue
                outcome = Outcome.UNKNOWN
            except StoreError as error:
                problem = error
                again = error.retryable or isinstance(error, LockLostError | FencedError)
                if doubt is not None and again and time.monotonic() < until:
                    await asyncio.sleep(0.05)
                    continue
                # What an error says of the last try, it does not say of the ones before.
                outcome = Outcome.UNKNOWN if doubt else Outcome.REFUSED
            return Attempt(writer, session_id, kind, number, texts, outcome, time.monotonic(), problem)

    async def _commit(
        self,
        store: SessionStore,
        session_id: str,
        kind: Kind,
        writer: int,
        number: int,
        texts: tuple[str, ...],
        commit_id: str | None,
    ) -> tuple[str, ...]:
        """Do it once; the texts that it has popped."""
        messages = [Message.user(text) for text in texts]
        match kind:
            case "append":
                await store.append(session_id, *messages, commit_id=commit_id)
            case "turn":
                async with store.turn(session_id, last=1, commit_id=commit_id) as turn:
                    turn.append(*messages)
                    turn.append({"writer": writer}, log="events")
            case "first":
                name = name_of_first(writer, number)
                async with store.turn(session_id, commit_id=commit_id) as turn:
                    turn.append({"writer": writer}, log=name)
                    turn.state.set(name, number)
                    turn.state.add(f"{COUNTER}-{name}")
            case "state":
                await store.state(session_id).set(f"last-{writer}", number, commit_id=commit_id)
            case "counter":
                await store.state(session_id).add(COUNTER, commit_id=commit_id)
            case "pop":
                return tuple(
                    str(each["content"]) for each in await store.pop(session_id, commit_id=commit_id)
                )
        return ()

    # What came of it

    async def report(self, store: SessionStore | None = None, *, servers: Iterable[Server] = ()) -> Report:
        """Compare what is stored with what the writers were told.

        Args:
            store: to read with; a fresh one unless given.
            servers: the masters, to look at the expiry of the keys.
        """
        report = Report()
        self._measure_gaps(report)
        if store is None:
            async with open_store(self._url, **self._options) as fresh:
                await judge(fresh, self.attempts, report, turns_kept_together="pop" not in self._mix)
        else:
            await judge(store, self.attempts, report, turns_kept_together="pop" not in self._mix)
        await judge_expiry(servers, self.namespace, self.session_ids, report)
        return report

    def _measure_gaps(self, report: Report) -> None:
        times: dict[int, list[float]] = {writer: [self._started] for writer in range(self._writers)}
        for attempt in self.attempts:
            if attempt.outcome is Outcome.ACKNOWLEDGED:
                times[attempt.writer].append(attempt.at)
        for each in times.values():
            each.append(max(self._stopped, each[-1]))
        together = sorted(at for each in times.values() for at in each)
        report.longest_gap = _longest_gap(together)
        since = self._marks[0] if self._marks else 0.0
        report.gaps = {writer: _longest_gap(each, since) for writer, each in times.items()}
        if self._marks:
            report.recovery = max(report.gaps.values())


def _longest_gap(times: Sequence[float], since: float = 0.0) -> float:
    """The longest of those gaps that end after `since`, each counted from there on."""
    gaps = (end - max(begin, since) for begin, end in pairwise(times) if end > since)
    return max(gaps, default=0.0)
