"""Who held a lease, stood still past its end, and wakes, writes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sqlite3
import time
import uuid
from asyncio.subprocess import Process
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from miniagent_store import (
    FencedError,
    LockLostError,
    Message,
    OutcomeUnknownError,
    SessionStore,
    open_store,
)
from miniagent_store.rules import CLAIM_MS
from miniagent_store.testing.conformance import eventually
from miniagent_store.testing.conformance.locks import stands_in_line
from miniagent_store.testing.proxy import Action
from tests.coordination.holder import MESSAGE
from tests.coordination.processes import line_of, running, tell
from tests.faults.deployments import Deployment

ROUNDS = [5, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
REFUSED = {"FencedError", "LockLostError"}
NEXT = "the next one's"


async def take_over(store: SessionStore, kind: str, session_id: str) -> None:
    """Wait for the lease to end, and write as its next holder."""
    if kind == "turn":
        async with store.turn(session_id, wait=60) as turn:
            turn.append(Message.user(NEXT))
    else:
        async with store.lock(f"lock/{session_id}", wait=60) as lease:
            await store.append(session_id, Message.user(NEXT), fence=lease)


async def said(store: SessionStore, session_id: str) -> list[object]:
    return [message.content for message in await store.history(session_id)]


def check(kind: str, outcome: str, stored: list[object]) -> None:
    """Whether what the stale holder was told is true, and nothing of it stands behind the next one's."""
    assert outcome in {*REFUSED, "stored", "OutcomeUnknownError"}
    came_in_time = MESSAGE.content in stored
    # On a machine that stands still itself, a commit's time may be up before it is known what came of it.
    if outcome != "OutcomeUnknownError":
        assert came_in_time == (outcome == "stored")
    before = ["held"] if kind == "lock" else []
    assert stored == [*before, *([MESSAGE.content] if came_in_time else []), NEXT]


async def stop(process: Process) -> None:
    """Let a process stand still; returns when all its threads do."""
    process.send_signal(signal.SIGSTOP)
    threads = Path(f"/proc/{process.pid}/task")
    await eventually(
        lambda: all("State:\tT" in (each / "status").read_text() for each in threads.iterdir())
    )


def is_locked(url: str) -> bool:
    """Whether a file is: who is stopped within a transaction keeps all others from writing."""
    if not url.startswith("sqlite:///"):
        return False
    with contextlib.closing(
        sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)
    ) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_a_process_that_was_stopped_past_its_lease_writes_nothing(
    shared_url: str, rounds: int
) -> None:
    namespace, outcomes, chance = uuid.uuid4().hex, Counter[str](), random.Random(16)
    async with (
        running("holder", shared_url, namespace) as process,
        open_store(shared_url, namespace=namespace) as store,
    ):
        assert await line_of(process) == "ready"
        for number in range(rounds):
            kind, session_id = chance.choice(["turn", "lock"]), f"s{number}"
            await store.create(session_id)
            ttl = chance.uniform(0.1, 0.5)
            await tell(process, f"{kind} {session_id} {ttl}")
            assert await line_of(process) == "held"
            await asyncio.sleep(chance.uniform(0, ttl))
            # Half of them are stopped on their way to write: some come in time.
            hasty = chance.random() < 0.5
            if hasty:
                await tell(process)
                await asyncio.sleep(chance.uniform(0, 0.002))
            await stop(process)
            while is_locked(shared_url):
                process.send_signal(signal.SIGCONT)
                await asyncio.sleep(0.002)
                await stop(process)
            await take_over(store, kind, session_id)
            process.send_signal(signal.SIGCONT)
            if not hasty:
                await tell(process)

            outcome = await line_of(process)
            outcomes[outcome] += 1
            check(kind, outcome, await said(store, session_id))
            assert hasty or outcome in REFUSED
        await tell(process)
    print(f"\n{shared_url.partition(':')[0]}, stopped: {dict(outcomes)}")


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_a_holder_whose_connection_is_a_black_hole_writes_nothing(
    deployment: Deployment, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes, chance = Counter[str](), random.Random(16)
    namespace = uuid.uuid4().hex
    with deployment.proxied() as behind:
        proxies = behind.proxies.values()
        async with (
            open_store(deployment.url, namespace=namespace) as other,
            open_store(behind.url, namespace=namespace, **behind.options) as store,
        ):
            for number in range(rounds):
                kind, session_id = chance.choice(["turn", "lock"]), f"s{number}"
                await other.create(session_id)
                ttl = chance.uniform(0.1, 0.5)
                monkeypatch.setattr("miniagent_store.store.turn.TURN_TTL", ttl)
                swallowed, taken = asyncio.Event(), asyncio.Event()
                writing = asyncio.create_task(
                    write_late(store, kind, session_id, ttl, swallowed, taken, chance.random() < 0.5)
                )
                await asyncio.wait_for(swallowed.wait(), 20)
                await asyncio.sleep(chance.uniform(0, ttl / 2))
                for proxy in proxies:
                    proxy.inject(Action.BLACK_HOLE, on="request", times=None)
                await take_over(other, kind, session_id)
                for proxy in proxies:
                    proxy.heal()
                    proxy.cut()
                taken.set()
                outcome = await writing
                outcomes[outcome] += 1
                check(kind, outcome, await said(other, session_id))
    print(f"\n{deployment.topology}, black hole: {dict(outcomes)}")
    assert sum(outcomes[name] for name in REFUSED) > rounds // 3


async def write_late(
    store: SessionStore,
    kind: str,
    session_id: str,
    ttl: float,
    swallowed: asyncio.Event,
    taken: asyncio.Event,
    at_once: bool,
) -> str:
    """Take the lease and write, now (while the connection becomes a hole) or after it was taken over."""
    try:
        if kind == "turn":
            async with store.turn(session_id) as turn:
                swallowed.set()
                await (asyncio.sleep(ttl / 4) if at_once else taken.wait())
                turn.append(MESSAGE)
        else:
            async with store.lock(f"lock/{session_id}", ttl=ttl) as lease:
                await store.append(session_id, Message.user("held"), fence=lease)
                swallowed.set()
                await (asyncio.sleep(ttl / 4) if at_once else taken.wait())
                await store.append(session_id, MESSAGE, fence=lease.fence)
    except (FencedError, LockLostError, OutcomeUnknownError) as error:
        return type(error).__name__
    return "stored"


@pytest.mark.parametrize("dead", [1, pytest.param(4, marks=pytest.mark.slow)])
async def test_those_who_died_in_line_hold_up_nobody_for_long(shared_url: str, dead: int) -> None:
    namespace = uuid.uuid4().hex
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(shared_url, namespace=namespace))
        await store.create("s")
        lock = store.lock("lock/s", ttl=60)
        await lock.__aenter__()
        for number in range(dead):
            process = await stack.enter_async_context(running("holder", shared_url, namespace))
            assert await line_of(process) == "ready"
            await tell(process, "lock s 60")
            await eventually(lambda: stands_in_line(store, "lock/s", number + 1))  # noqa: B023
            process.kill()
        alive = asyncio.create_task(take_over(store, "lock", "s"))
        await eventually(lambda: stands_in_line(store, "lock/s", dead + 1))
        await lock.__aexit__(None, None, None)
        started = time.monotonic()

        await alive

        took = time.monotonic() - started
        assert CLAIM_MS / 1000 * 0.9 < took < dead * CLAIM_MS / 1000 + 5
