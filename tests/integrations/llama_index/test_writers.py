"""Several processes on one conversation: nothing is lost, and turns are whole where that is asked."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.storage.chat_store.base_db import MessageStatus

from miniagent_store import LockTimeoutError
from miniagent_store.integrations.llama_index import MiniAgentChatStore
from miniagent_store.testing.servers import Server

ROOT = Path(__file__).parents[3]
WRITERS = ("ann", "bob")


async def run_writers(url: str, turns: int, *how: str) -> list[ChatMessage]:
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integrations.llama_index.writer",
            *(url, "s", name, str(turns), *how),
            cwd=ROOT,
        )
        for name in WRITERS
    ]
    async with asyncio.timeout(200):
        assert [await process.wait() for process in started] == [0] * len(WRITERS)
    store = MiniAgentChatStore(url)
    messages = await store.get_messages("s", status=None)
    await store.aclose()
    return messages


def questions(messages: Sequence[ChatMessage]) -> list[str]:
    return sorted(str(message.content) for message in messages if message.role == "user")


def expected(turns: int) -> list[str]:
    return sorted(f"{name}-{number}" for name in WRITERS for number in range(turns))


async def test_exclusive_turns_are_a_serial_order(redis_server: Server) -> None:
    await check_exclusive(f"{redis_server.url}/0?namespace=writers", 3)


@pytest.mark.slow
async def test_exclusive_turns_are_a_serial_order_everywhere(durable_url: str) -> None:
    await check_exclusive(durable_url, 25)


async def check_exclusive(url: str, turns: int) -> None:
    messages = await run_writers(url, turns, "exclusive")
    assert questions(messages) == expected(turns)
    for begin in range(0, len(messages), 4):
        turn = messages[begin : begin + 4]
        question = turn[0].content
        assert [message.role for message in turn] == ["user", "assistant", "tool", "assistant"]
        assert turn[2].content == f"sunny in {question}"
        assert turn[3].content == f"They say: sunny in {question}"


@pytest.mark.slow
async def test_without_it_each_commit_is_whole(durable_url: str) -> None:
    messages = await run_writers(durable_url, 25)
    assert questions(messages) == expected(25)
    assert len(messages) == 4 * 50
    roles = [message.role for message in messages]
    answers = [index for index, role in enumerate(roles) if role == "tool"]
    assert len(answers) == 50
    for index in answers:
        assert roles[index - 1] == roles[index + 1] == "assistant"


async def test_a_turn_is_waited_for(url: str) -> None:
    one, other = MiniAgentChatStore(url), MiniAgentChatStore(url)
    async with one.exclusive("s"):
        with pytest.raises(LockTimeoutError):
            async with other.exclusive("s", wait=0):
                pass
        await one.add_message("s", ChatMessage(role="user", content="held"))
    async with other.exclusive("s", wait=20):
        assert [message.content for message in await other.get_messages("s")] == ["held"]
    await one.aclose()
    await other.aclose()


async def test_archiving_and_deleting_at_once(url: str) -> None:
    """Each message is archived or deleted by one caller, however many ask at once."""
    stores = [MiniAgentChatStore(url) for _ in range(3)]
    await stores[0].add_messages("s", [ChatMessage(content=str(number)) for number in range(30)])
    calls = [
        call
        for store in stores
        for call in (store.archive_oldest_messages("s", 2), store.delete_oldest_messages("s", 3))
    ]
    told = [message.content for taken in await asyncio.gather(*calls) for message in taken]
    assert sorted(map(int, map(str, told))) == list(range(15))
    assert await stores[0].count_messages("s", status=MessageStatus.ARCHIVED) == 6
    assert [message.content for message in await stores[1].get_messages("s")] == list(
        map(str, range(15, 30))
    )
    for store in stores:
        await store.aclose()
