"""Identities of commits: no more unanswered on a session than are remembered, and no one waits for ever."""

from __future__ import annotations

import asyncio

from miniagent_store.backend import OUTCOME_WINDOW, CommitIdentity
from miniagent_store.store.writer import Writer


async def test_all_who_wait_get_their_turn() -> None:
    writer = Writer(10)
    running = most = 0

    async def commit() -> None:
        nonlocal running, most
        identity = await writer.begin("s", lambda: 1000)
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        writer.end("s", identity)

    async with asyncio.timeout(10):
        await asyncio.gather(*(commit() for _ in range(10 * OUTCOME_WINDOW)))
    assert most <= OUTCOME_WINDOW


async def test_all_answered_at_one_moment_leave_no_one_behind() -> None:
    writer = Writer(10)
    first = [await writer.begin("s", lambda: 1000) for _ in range(OUTCOME_WINDOW)]
    waiting = [asyncio.create_task(writer.begin("s", lambda: 1000)) for _ in range(OUTCOME_WINDOW + 1)]
    await asyncio.sleep(0)

    for identity in first:
        writer.end("s", identity)

    async with asyncio.timeout(10):
        for task in waiting:
            writer.end("s", await task)


async def test_a_turn_that_was_given_to_someone_cancelled_goes_to_the_next() -> None:
    writer = Writer(10)
    held = [await writer.begin("s", lambda: 1000) for _ in range(OUTCOME_WINDOW)]
    gives_up, next_in_line = (asyncio.create_task(writer.begin("s", lambda: 1000)) for _ in range(2))
    await asyncio.sleep(0)

    writer.end("s", held[0])
    gives_up.cancel()

    async with asyncio.timeout(10):
        assert isinstance(await next_in_line, CommitIdentity)


async def test_an_identity_is_good_from_when_its_wait_was_over() -> None:
    writer, now = Writer(10), 1000
    held = [await writer.begin("s", lambda: now) for _ in range(OUTCOME_WINDOW)]
    waiting = asyncio.create_task(writer.begin("s", lambda: now))
    await asyncio.sleep(0)

    now = 9000
    writer.end("s", held[0])

    assert (await waiting).not_after_ms == 19_000


async def test_what_is_sent_again_keeps_its_place() -> None:
    writer = Writer(10)
    first, second = [await writer.begin("s", lambda: 1000) for _ in range(2)]
    order: list[str] = []

    async def again(identity: CommitIdentity, name: str) -> None:
        await writer.in_line("s", identity)
        order.append(name)
        await asyncio.sleep(0)
        writer.end("s", identity)

    async def new(name: str) -> None:
        identity = writer.begin_lone("s", 1000) or await writer.begin("s", lambda: 1000)
        order.append(name)
        writer.end("s", identity)

    async with asyncio.timeout(10):
        later = asyncio.create_task(again(second, "second"))
        await asyncio.sleep(0)
        newer = [asyncio.create_task(new(name)) for name in ("third", "fourth")]
        await asyncio.sleep(0)
        await again(first, "first")
        await asyncio.gather(later, *newer)
    assert order == ["first", "second", "third", "fourth"]


async def test_a_lone_commit_that_is_sent_again_is_not_overtaken() -> None:
    writer = Writer(10)
    lone = writer.begin_lone("s", 1000)
    assert lone is not None
    await writer.in_line("s", lone)

    new = asyncio.create_task(writer.begin("s", lambda: 1000))
    await asyncio.sleep(0)
    assert writer.begin_lone("s", 1000) is None
    assert not new.done()

    writer.end("s", lone)
    async with asyncio.timeout(10):
        assert (await new).counter > lone.counter


async def test_who_is_cancelled_while_waiting_leaves_nothing_behind() -> None:
    writer = Writer(10)
    held = [await writer.begin("s", lambda: 1000) for _ in range(OUTCOME_WINDOW)]
    waiting = [asyncio.create_task(writer.begin("s", lambda: 1000)) for _ in range(3)]
    await asyncio.sleep(0)

    waiting[0].cancel()
    for identity in held:
        writer.end("s", identity)
    waiting[1].cancel()
    async with asyncio.timeout(10):
        writer.end("s", await waiting[2])
        await asyncio.gather(*waiting[:2], return_exceptions=True)
        assert writer.begin_lone("s", 1000) is not None
