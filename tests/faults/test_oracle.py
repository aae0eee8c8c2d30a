"""The oracle sees what it is there for: each sort of damage is done on purpose here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from miniagent_store import Message, SessionStore
from miniagent_store.testing.oracle import Report
from miniagent_store.testing.servers import Server
from miniagent_store.testing.workload import Workload

Damage = Callable[[SessionStore, Server, str], Awaitable[object]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
async def work(server: Server) -> AsyncIterator[Workload]:
    """Writers that have done some work, undisturbed."""
    async with Workload(server.url, sessions=2, writers=2) as work:
        work.start()
        await work.acknowledge(8)
        await work.stop()
        yield work


def key_of(work: Workload, part: str, session_id: str = "s0") -> str:
    return f"{work.namespace}/{part}:{{{work.namespace}/session:{session_id}}}"


async def test_without_a_fault_nothing_is_wrong(work: Workload, server: Server) -> None:
    report = await work.report(servers=[server])

    report.check()
    assert report.acknowledged == len(work.attempts) >= 16
    assert (report.lost, report.doubled, report.unknown, report.weak, report.errors) == (0, 0, 0, 0, [])
    assert 0 < report.longest_gap < 5
    assert report.recovery is None


async def lost(work: Workload) -> Report:
    report = await work.report()
    with pytest.raises(AssertionError, match="lost"):
        report.check()
    return report


async def test_a_session_that_is_gone_is_lost(work: Workload) -> None:
    await work.stores[0].delete("s0")

    assert (await lost(work)).lost == sum(each.session_id == "s0" for each in work.attempts)


async def test_messages_that_are_gone_are_lost(work: Workload) -> None:
    await work.stores[0].rewind("s0", to=2)

    assert (await lost(work)).lost > 0


async def test_a_counter_that_went_back_is_lost(work: Workload) -> None:
    await work.stores[0].state("s0").add("total", -1)

    assert (await lost(work)).lost == 1


async def test_a_value_that_went_back_is_lost(work: Workload) -> None:
    await work.stores[0].state("s0").set("last-0", 1)

    assert (await lost(work)).lost == 1


@pytest.mark.parametrize("what", ["message", "counter", "commit"])
async def test_what_was_done_twice_is_seen(work: Workload, what: str) -> None:
    store = work.stores[0]
    if what == "message":
        (first,) = await store.history("s0", limit=1)
        await store.append("s0", Message.user(first.content))
    elif what == "counter":
        await store.state("s0").add("total")
    else:
        await store.update("s0", metadata={"a": 1})

    report = await work.report()

    assert report.doubled == 1
    with pytest.raises(AssertionError, match="twice"):
        report.check()


async def test_what_no_one_wrote_and_keys_that_expire_apart_are_problems(
    work: Workload, server: Server
) -> None:
    await work.stores[0].append("s0", Message.user("someone else's"))
    server.command("PEXPIRE", key_of(work, "thread"), 1_000_000)

    report = await work.report(servers=[server])

    with pytest.raises(AssertionError, match=r"which no one wrote.*expire at different times"):
        report.check()


async def test_a_part_that_vanished_is_a_problem(work: Workload, server: Server) -> None:
    server.command("DEL", key_of(work, "thread"))

    with pytest.raises(AssertionError, match="damaged"):
        (await work.report()).check()


async def test_writers_that_pop_are_understood(server: Server) -> None:
    mix = ("append", "append", "pop", "counter", "turn")
    async with Workload(server.url, sessions=2, writers=4, mix=mix) as work:
        work.start()
        await work.acknowledge(10)
        await work.stop()

        (await work.report(servers=[server])).check()

        popped = next(each for each in work.attempts if each.kind == "pop")
        await work.stores[0].append(popped.session_id, Message.user(*popped.texts))
        assert (await lost(work)).lost == 1


async def test_recovery_is_counted_from_the_mark(server: Server) -> None:
    async with Workload(server.url, sessions=2, writers=2) as work:
        work.start()
        await work.acknowledge(2)
        work.mark()
        server.pause()
        await asyncio.sleep(0.3)  # for this long no one is served
        server.resume()
        await work.acknowledge(2)
        await work.stop()

        report = await work.report()
    report.check()
    assert report.recovery is not None
    assert 0.3 <= report.recovery < 5
    assert set(report.gaps) == {0, 1}
