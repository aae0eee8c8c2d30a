"""Many processes chat in one session at once, and it reads as if there were one."""

from __future__ import annotations

import asyncio
import uuid
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from miniagent_store import Message, open_store
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.sentinel import SentinelGroup
from tests.coordination.processes import line_of, running, tell

PROCESSES, CHATS = 4, 20
KILLS = pytest.param(5, marks=[pytest.mark.slow, pytest.mark.timeout(900)])


async def test_turns_of_processes_alternate(shared_url: str) -> None:
    said = await converse(shared_url)

    assert len(said) == PROCESSES * CHATS


@pytest.mark.parametrize("rounds", [1, KILLS])
async def test_turns_alternate_while_a_sentinel_master_is_killed(rounds: int) -> None:
    with SentinelGroup() as group:
        for _ in range(rounds):
            master = group.master()

            async def kill() -> None:
                await asyncio.to_thread(master.kill)  # noqa: B023 - of this round

            await converse(group.url, kill, replicas="all")
            assert group.master() is not master
            if rounds > 1:
                await asyncio.to_thread(master.start)
                await asyncio.to_thread(group.wait_until_ready)


@pytest.mark.parametrize("rounds", [KILLS])
async def test_turns_alternate_while_a_cluster_master_is_killed(rounds: int) -> None:
    with ClusterGroup(replicas=2) as group:
        for _ in range(rounds):
            namespace = uuid.uuid4().hex
            master = group.owner(group.slot_of(f"{namespace}/session:s"))

            async def kill() -> None:
                await asyncio.to_thread(master.kill)  # noqa: B023 - of this round

            await converse(group.url, kill, namespace=namespace, replicas="all")
            assert master not in group.masters()
            await asyncio.to_thread(master.start)
            await asyncio.to_thread(group.wait_until_ready)


async def converse(
    url: str,
    disturb: Callable[[], Awaitable[None]] | None = None,
    *,
    namespace: str | None = None,
    replicas: str = "",
) -> list[str]:
    """Let all processes chat, disturb them on the way, and see what came of it; who has spoken."""
    namespace = namespace or uuid.uuid4().hex
    told: list[str] = []

    async def listen(process: Process) -> None:
        while line := await line_of(process):
            told.append(line)
        assert await process.wait() == 0

    options = {"replicas": replicas} if replicas else {}
    async with AsyncExitStack() as stack, open_store(url, namespace=namespace, **options) as store:
        await store.create("s")
        processes = [
            await stack.enter_async_context(running("talker", url, namespace, "s", CHATS, replicas))
            for _ in range(PROCESSES)
        ]
        for process in processes:
            assert await line_of(process) == "ready"
        listening = [asyncio.create_task(listen(process)) for process in processes]
        for process in processes:
            await tell(process)
        if disturb is not None:
            async with asyncio.timeout(60):
                while len(told) < PROCESSES * CHATS // 4:
                    await asyncio.sleep(0.005)
            await disturb()
        await asyncio.gather(*listening)
        return check(await store.history("s"), told)


def check(history: list[Message], told: list[str]) -> list[str]:
    """Whether turns alternate, each acknowledged one is there once, and each has heard those before it."""
    asked = [message.content for message in history[0::2]]
    answered = [message.content for message in history[1::2]]
    assert [message.role for message in history] == ["user", "assistant"] * len(asked)
    names = [str(content).rstrip("?") for content in asked]
    assert answered == [f"{name}!" for name in names]
    assert sorted(names) == sorted(told)
    assert len(set(names)) == PROCESSES * CHATS
    assert [message.metadata["heard"] for message in history[0::2]] == list(range(0, len(history), 2))
    return names
