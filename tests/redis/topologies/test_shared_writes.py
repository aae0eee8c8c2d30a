"""Commits of many sessions leave in one write; what becomes of one of them is nothing to its neighbours."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from miniagent_store import (
    Message,
    OutcomeUnknownError,
    Session,
    SessionNotFoundError,
    SessionStore,
    SessionTooLargeError,
    VersionConflictError,
    open_store,
)
from miniagent_store.testing.proxy import Action, Proxy
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import Server
from tests.redis.topologies.conftest import Place, url_of

SESSIONS = 64
# Sessions with several commits under way at once.
BUSY, IN_FLIGHT = 4, 8
ROUNDS = [5, pytest.param(300, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
OPTIONS = {"max_session_size": "32KiB", "max_message_size": "64KiB", "deadline": "20s"}
TOO_LARGE_FOR_SESSION, TOO_LARGE_FOR_MESSAGE = "x" * 40_000, "x" * 70_000
IN_DOUBT = (asyncio.CancelledError, TimeoutError, OutcomeUnknownError)


@dataclass(eq=False)
class Append:
    """One append that was begun."""

    session: str
    text: str
    task: asyncio.Task[Session]

    @property
    def outcome(self) -> Session | BaseException:
        """What came of it."""
        if self.task.cancelled():
            return asyncio.CancelledError()
        return self.task.exception() or self.task.result()


@dataclass
class Round:
    """Sessions of one message each, which the store has just met, and the appends to them."""

    store: SessionStore
    sessions: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    appends: list[Append] = field(default_factory=list)

    @classmethod
    async def begin(cls, store: SessionStore) -> Round:
        name = random.randbytes(6).hex()
        self = cls(store, [f"{name}-{n}" for n in range(SESSIONS)], [f"{name}-b{n}" for n in range(BUSY)])
        first = Message.user("first")
        made = (store.append(session, first, create=True) for session in (*self.sessions, *self.busy))
        await asyncio.gather(*made)
        return self

    def append(
        self, session: str, *, padding: str = "", seconds: float | None = None, **conditions: Any
    ) -> Append:
        """Begin an append and do not wait for it; `seconds` is how long its caller does."""
        text = f"{len(self.appends)} {padding}"

        async def call() -> Session:
            async with asyncio.timeout(seconds):
                return await self.store.append(session, Message.user(text), **conditions)

        made = Append(session, text, asyncio.create_task(call()))
        self.appends.append(made)
        return made

    def append_to_all(self) -> None:
        """Begin an append to each session, and several to each of the busy ones."""
        order = [*self.sessions, *self.busy * IN_FLIGHT]
        random.shuffle(order)
        for session in order:
            self.append(session)

    async def end(self) -> None:
        """Wait for all of them."""
        await asyncio.wait([append.task for append in self.appends])

    async def check(self, *, asked_again: bool = False) -> None:
        """What was acknowledged stands once, in order, with the right result; what was refused does not."""
        for session in (*self.sessions, *self.busy):
            history = [str(message.content) for message in await self.store.history(session)][1:]
            appends = [append for append in self.appends if append.session == session]
            may = {append.text for append in appends if isinstance(append.outcome, (Session, *IN_DOUBT))}
            assert len(set(history)) == len(history), "a message stands twice"
            assert set(history) <= may, "what was refused stands"
            for append in appends:
                if isinstance(append.outcome, Session):
                    # One message and one version each, so both tell its place; asked again, the latest one.
                    at, told = history.index(append.text) + 2, append.outcome
                    assert told.message_count == told.version
                    assert told.version >= at if asked_again else told.version == at
            assert history == [append.text for append in appends if append.text in history]

    def all_stored(self, appends: Sequence[Append]) -> None:
        for append in appends:
            assert isinstance(append.outcome, Session), repr(append.outcome)


def reads_of(server: Server) -> int:
    """How often the server has read from its clients."""
    lines = bytes(server.command("INFO", "stats")).split()
    found = next(line for line in lines if line.startswith(b"total_reads_processed:"))
    return int(found.partition(b":")[2])


async def test_commits_of_64_sessions_leave_together(server: Server) -> None:
    async with open_store(url_of(server)) as store:
        round_ = await Round.begin(store)
        before = reads_of(server)

        for session in round_.sessions:
            round_.append(session)
        await round_.end()

        # One for each piece that was written, and a few for what else is told and asked.
        assert reads_of(server) - before <= 16
        round_.all_stored(round_.appends)
        await round_.check()


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_neighbours_of_what_goes_wrong_are_stored_once(place: Place, rounds: int) -> None:
    await let_some_go_wrong(url_of(place, **OPTIONS), rounds)


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_so_they_are_where_replicas_acknowledge(sentinels: SentinelGroup, rounds: int) -> None:
    await let_some_go_wrong(url_of(sentinels, replicas=1, **OPTIONS), rounds)


async def let_some_go_wrong(url: str, rounds: int) -> None:
    """Rounds of commits of which some are cancelled, late, too large, or refused."""
    seen: set[tuple[int, bool]] = set()
    async with open_store(url) as store:
        for _ in range(rounds):
            round_ = await Round.begin(store)
            sessions = random.sample(round_.sessions, SESSIONS)
            large, larger, stale, hasty, *given_up = (sessions.pop() for _ in range(8))
            half = [round_.append(session) for session in sessions[::2]]
            refused = {
                SessionTooLargeError: [
                    round_.append(large, padding=TOO_LARGE_FOR_SESSION),
                    round_.append(larger, padding=TOO_LARGE_FOR_MESSAGE),
                ],
                VersionConflictError: [round_.append(stale, expected_version=7)],
                SessionNotFoundError: [round_.append(f"{stale}-missing")],
            }
            round_.append(hasty, seconds=random.uniform(0, 0.005))
            cancelled = [round_.append(session) for session in given_up]
            good = half + [round_.append(session) for session in sessions[1::2]]
            good += [round_.append(session) for _ in range(IN_FLIGHT) for session in round_.busy]
            # Before it has begun, before its bytes are written, and after that.
            for turns, append in enumerate(cancelled):
                append.task.cancel()
                for _ in range(turns):
                    await asyncio.sleep(0)
            await round_.end()

            round_.all_stored(good)
            for error, appends in refused.items():
                assert [type(append.outcome) for append in appends] == [error] * len(appends)
            await round_.check()
            for turns, append in enumerate(cancelled):
                stored = (await store.get(append.session)).message_count == 2
                assert stored or isinstance(append.outcome, asyncio.CancelledError)
                seen.add((turns, stored))

    assert (0, True) not in seen, "what was cancelled before it began was sent"
    assert {stored for _, stored in seen} == {True, False}


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_connections_that_are_killed_lose_and_double_nothing(place: Place, rounds: int) -> None:
    masters = _masters(place)
    async with open_store(url_of(place, **OPTIONS)) as store:
        for _ in range(rounds):
            round_ = await Round.begin(store)
            round_.append_to_all()
            for _ in range(random.randrange(4)):
                await asyncio.sleep(0)
            # Blocks the loop: what was written meanwhile is with the server, or on its way.
            for server in masters:
                server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await round_.end()

            round_.all_stored(round_.appends)
            await round_.check(asked_again=True)


def _masters(place: Place) -> Sequence[Server]:
    if isinstance(place, Server):
        return [place]
    return [place.master()] if isinstance(place, SentinelGroup) else place.masters()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", server.port or 0) as proxy:
        yield proxy


FAULTS = [
    (Action.DROP, "request"),
    (Action.HALVE, "request"),
    (Action.CUT, "request"),
    (Action.DROP, "reply"),
    (Action.HALVE, "reply"),
    (Action.TRICKLE, "reply"),
    (Action.GARBLE, "reply"),
]


@pytest.mark.parametrize("rounds", [1, pytest.param(50, marks=[pytest.mark.slow])])
@pytest.mark.parametrize(("action", "direction"), FAULTS)
async def test_a_cut_in_the_middle_of_a_shared_write_loses_and_doubles_nothing(
    proxy: Proxy, rounds: int, action: Action, direction: Any
) -> None:
    async with open_store(
        f"redis://{proxy.host}:{proxy.port}?namespace={random.randbytes(6).hex()}"
    ) as store:
        for _ in range(rounds):
            round_ = await Round.begin(store)
            fault = proxy.inject(action, on=direction, after=b"EVALSHA")
            round_.append_to_all()
            cancelled = random.choice(round_.appends)
            for _ in range(random.randrange(4)):
                await asyncio.sleep(0)
            cancelled.task.cancel()
            await round_.end()

            assert fault.happened
            round_.all_stored([append for append in round_.appends if append is not cancelled])
            await round_.check(asked_again=action is not Action.TRICKLE)


async def test_the_first_half_of_what_waits_may_time_out(server: Server) -> None:
    async with open_store(url_of(server, deadline="1s", socket_timeout="1s")) as store:
        round_ = await Round.begin(store)
        early, late = round_.sessions[::2], round_.sessions[1::2]
        server.pause()
        try:
            early_appends = [round_.append(session) for session in early]
            await asyncio.sleep(0.6)  # makes the difference in age, no luck in it
            late_appends = [round_.append(session) for session in late]
            await asyncio.wait([append.task for append in early_appends])
        finally:
            server.resume()
        await round_.end()

        for append in early_appends:
            error = append.outcome
            assert isinstance(error, OutcomeUnknownError)
            # The same commit: found stored, or stored now.
            again = await store.append(append.session, Message.user(append.text), commit_id=error.commit_id)
            assert again.message_count == 2
        for append in late_appends:
            assert isinstance(append.outcome, Session | OutcomeUnknownError), repr(append.outcome)
        await round_.check()
