"""What left the short-term memory, or was said in another conversation, is recalled."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.memory import Memory

from miniagent_store import EmbeddingError, open_store
from miniagent_store.integrations.llama_index import MiniAgentChatStore, MiniAgentMemoryBlock
from tests.integrations.conftest import Encrypted


def _memory(url: str, session_id: str, user: str = "ada", tokens: int = 60) -> Memory:
    memory: Memory = Memory.from_defaults(
        session_id=session_id,
        chat_store=MiniAgentChatStore(url),
        memory_blocks=[MiniAgentMemoryBlock(url, user, priority=1)],
        token_limit=200,
        chat_history_token_ratio=tokens / 200,
        token_flush_size=20,
    )
    return memory


async def _talk(memory: Memory, *said: str) -> None:
    for each in said:
        await memory.aput_messages([ChatMessage(each), ChatMessage("Fine.", role=MessageRole.ASSISTANT)])


async def _seen(memory: Memory, question: str) -> str:
    await memory.aput(ChatMessage(question))
    return "\n".join(str(each.content) for each in await memory.aget())


async def test_a_conversation_is_recalled_in_another(url: str) -> None:
    filler = [f"Something else, number {each}, said at some length so that it fills." for each in range(8)]
    await _talk(_memory(url, "monday"), "My dog is called Rex.", *filler)

    assert "Rex" in await _seen(_memory(url, "friday"), "What is my dog called?")
    assert "Rex" not in await _seen(_memory(url, "other", user="bob"), "What is my dog called?")


async def test_what_is_put_again_is_there_once_and_nothing_of_tools_is(url: str) -> None:
    block = MiniAgentMemoryBlock(url, "ada")
    said = [
        ChatMessage("My dog is called Rex."),
        ChatMessage("secret", role=MessageRole.TOOL),
        ChatMessage("", role=MessageRole.ASSISTANT),
    ]
    for _ in range(2):
        await block.aput([each.model_copy(deep=True) for each in said], session_id="monday")
    async with open_store(url) as store:
        [memory] = await store.memory("ada").list()
    assert memory.text == "My dog is called Rex."
    assert memory.metadata == {"role": "user", "session_id": "monday"}
    assert await block.aget([]) == ""
    assert await block.aget([ChatMessage("", role=MessageRole.USER)]) == ""
    assert "Rex" in await block.aget([ChatMessage("dog?")])


class Away:
    name: str = "away"
    dimensions: int | None = 2

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Any:
        raise EmbeddingError(self.name, "is away")


async def test_an_embedder_that_is_away_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    block = MiniAgentMemoryBlock("memory://", "ada", embedder=Away())
    with caplog.at_level(logging.WARNING, "miniagent_store"):
        assert await block.aget([ChatMessage("dog?")]) == ""
    assert "nothing was recalled" in caplog.text
    with pytest.raises(EmbeddingError):
        await block.aput([ChatMessage("My dog is called Rex.")])


async def test_nothing_of_it_is_readable(encrypted: Encrypted) -> None:
    block = MiniAgentMemoryBlock(encrypted.url, "ada")
    await block.aput([ChatMessage("The xylophone is mine.")])
    assert "xylophone" in await block.aget([ChatMessage("xylophone?")])
    encrypted.assert_absent(b"xylophone")
