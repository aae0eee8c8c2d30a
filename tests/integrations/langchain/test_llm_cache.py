"""Answers of models come back as they were, once asked over all instances."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, GenerationChunk

from miniagent_store.errors import InvalidArgumentError, SerializationError
from miniagent_store.integrations.langchain import MiniAgentLLMCache
from tests.integrations.conftest import Encrypted

CALL: Any = {"name": "weather", "args": {"city": "Paris"}, "id": "1", "type": "tool_call"}
ANSWERS = [
    Generation(text="plain", generation_info={"finish_reason": "stop"}),
    GenerationChunk(text="chunk"),
    ChatGeneration(message=AIMessage("hi", tool_calls=[CALL], id="run-1")),
    ChatGenerationChunk(message=AIMessageChunk(content="h", id="run-1"), generation_info={"a": [1]}),
]


async def test_answers_come_back_as_they_were(url: str) -> None:
    cache = MiniAgentLLMCache(url)
    await cache.aupdate("prompt", "model", ANSWERS)
    found = await cache.alookup("prompt", "model")
    assert found == ANSWERS
    assert isinstance(found, list)
    assert [type(each) for each in found] == [type(each) for each in ANSWERS]
    # No two pairs meet.
    assert await cache.alookup("promptmodel", "") is None
    assert await cache.alookup("model", "prompt") is None
    await cache.handle.aclose()


async def test_a_model_is_asked_once(url: str) -> None:
    cache = MiniAgentLLMCache(url, ttl="1h")
    # The script has one answer: who asks again has an error.
    model = GenericFakeChatModel(messages=iter([AIMessage("first")]), cache=cache)
    assert (await model.ainvoke("Hello")).content == "first"
    assert (await model.ainvoke("Hello")).content == "first"
    assert model.invoke("Hello").content == "first"
    again = GenericFakeChatModel(messages=iter([]), cache=pickle.loads(pickle.dumps(cache)))
    assert (await asyncio.to_thread(again.invoke, "Hello")).content == "first"
    cache.clear()
    with pytest.raises((StopIteration, RuntimeError)):
        await again.ainvoke("Hello")
    await cache.handle.aclose()


async def test_an_answer_expires(url: str) -> None:
    cache = MiniAgentLLMCache(url, ttl=1)
    await cache.aupdate("prompt", "model", ANSWERS[:1])
    assert await cache.alookup("prompt", "model") == ANSWERS[:1]
    await asyncio.sleep(1.1)
    assert await cache.alookup("prompt", "model") is None
    await cache.handle.aclose()


class Unknown(Generation):
    """A class that cannot be read back."""


async def test_what_cannot_be_kept() -> None:
    cache = MiniAgentLLMCache("memory://")
    with pytest.raises(InvalidArgumentError, match="Unknown"):
        await cache.aupdate("prompt", "model", [Unknown(text="canary")])
    with pytest.raises(SerializationError) as caught:
        await cache.aupdate("prompt", "model", [Generation(text="canary", generation_info={"o": object()})])
    assert "canary" not in str(caught.value)
    await cache.handle.aclose()


async def test_no_word_stands_in_redis(encrypted: Encrypted) -> None:
    cache = MiniAgentLLMCache(encrypted.url)
    await cache.aupdate("canary", "canary", [Generation(text="canary")])
    assert await cache.alookup("canary", "canary") == [Generation(text="canary")]
    encrypted.assert_absent(b"canary")
    await cache.handle.aclose()
