"""Fault 23: a caller is cancelled wherever it waits; what it did is done or not done, and never half."""

from __future__ import annotations

import asyncio
import types
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.testing.oracle import Report
from tests.faults.conftest import Record
from tests.faults.deployments import Deployment

Operation = Callable[[SessionStore, str], Coroutine[Any, Any, Any]]


@types.coroutine
def cancelled_at(work: Coroutine[Any, Any, Any], place: int) -> Generator[Any, Any, bool]:
    """Run it in this task, and cancel the task when it waits for the `place`-th time; whether it ended."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    waits = 0
    step: Callable[[], Any] = lambda: work.send(None)  # noqa: E731
    while True:
        try:
            waited_for = step()
        except StopIteration:
            return waits < place
        waits += 1
        if waits == place:
            loop.call_soon(task.cancel)
        try:
            yield waited_for
        except BaseException as error:  # noqa: BLE001 - it is the work's own
            step = lambda error=error: work.throw(error)  # type: ignore[misc] # noqa: E731
        else:
            step = lambda: work.send(None)  # noqa: E731


async def append(store: SessionStore, name: str) -> None:
    await store.append(name, Message.user("x"), Message.user("y"))


async def batch(store: SessionStore, name: str) -> None:
    async with store.batch(name, create=True) as batch:
        batch.append(Message.user("x"), Message.user("y"))
        batch.state.add("n", 1)


async def turn(store: SessionStore, name: str) -> None:
    async with store.turn(name) as turn:
        turn.append(Message.user("x"), Message.user("y"))
        turn.state.add("n", 1)


async def lock(store: SessionStore, name: str) -> None:
    async with store.lock(f"lock-{name}") as lease:
        await store.append(name, Message.user("x"), Message.user("y"), fence=lease)


async def fork(store: SessionStore, name: str) -> None:
    await store.fork(name, new_id=f"{name}-fork")


async def pop(store: SessionStore, name: str) -> None:
    await store.pop(name, 2)


@pytest.mark.parametrize("fresh", [False, True], ids=["known", "first"])
@pytest.mark.parametrize(
    "operation", [append, batch, turn, lock, fork, pop], ids=lambda operation: operation.__name__
)
async def test_it_is_done_or_not_done(
    deployment: Deployment, operation: Operation, fresh: bool, record: Record
) -> None:
    """Once for each place where it waits; `fresh`: with a store that has yet to connect."""
    namespace = uuid.uuid4().hex
    cancelled = place = 0
    async with open_store(deployment.url, namespace=namespace) as store:
        before = asyncio.all_tasks()
        while True:
            place += 1
            name = f"s{place}"
            await store.append(name, Message.user("a"), Message.user("b"), create=True)
            doing = open_store(deployment.url, namespace=namespace) if fresh else store
            work: Awaitable[bool] = cancelled_at(operation(doing, name), place)
            try:
                ended = await asyncio.create_task(_run(work))
            except asyncio.CancelledError:
                ended, cancelled = False, cancelled + 1
            if fresh:
                await doing.close()
                assert asyncio.all_tasks() == before
            contents = [message.content for message in await store.history(name)]
            assert contents in (["a", "b"], ["a", "b", "x", "y"], [])
            if operation is fork:
                listed = [session.session_id for session in (await store.list(limit=1000)).items]
                if f"{name}-fork" in listed:
                    assert len(await store.history(f"{name}-fork")) == 2
            if operation in {batch, turn}:
                done = contents == ["a", "b", "x", "y"]
                assert await store.state(name).get("n", 0) == done
            # The next one is not held up.
            async with asyncio.timeout(5):
                async with store.turn(name) as next_turn:
                    next_turn.append(Message.user("next"))
            if ended:
                break
    assert cancelled > 0
    report = Report(acknowledged=cancelled)
    note = "cancelled at each place where it waits: done or not done"
    record("23 cancelled at every await", deployment.topology, report, note=note)


async def _run(work: Awaitable[bool]) -> bool:
    return await work
