"""An agent with a fake model that always asks the weather tool first, and what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.memory import Memory
from llama_index.core.tools import FunctionTool

from miniagent_store.integrations.llama_index import MiniAgentChatStore

CITIES = ("Oslo", "Rome", "Bern", "Kyiv", "Riga")


def nothing(moment: str) -> None:
    """Does nothing at a moment."""


def agent(at: Callable[[str], None] = nothing) -> FunctionAgent:
    """An agent whose answers follow from its input alone.

    Args:
        at: called in the middle of each model call and of each call of the tool.
    """

    def answer(messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
        at("model")
        last = messages[-1]
        if last.role is MessageRole.TOOL:
            return ChatMessage(role="assistant", content=f"They say: {last.content}")
        number = sum(message.role is MessageRole.USER for message in messages)
        call = ToolCallBlock(
            tool_call_id=f"call-{number}", tool_name="weather", tool_kwargs={"city": last.content}
        )
        return ChatMessage(role="assistant", blocks=[call])

    def weather(city: str) -> str:
        """The weather in a city."""
        at("tool")
        return f"sunny in {city}"

    return FunctionAgent(
        tools=[FunctionTool.from_defaults(weather)],
        llm=MockFunctionCallingLLM(response_generator=answer),
        streaming=False,
    )


def memory_on(store: MiniAgentChatStore, session_id: str) -> Memory:
    """A memory without a limit that would be met."""
    return Memory.from_defaults(session_id, token_limit=1_000_000, chat_store=store)


async def converse(memory: Memory, at: Callable[[str], None] = nothing) -> None:
    """Ask about each city that was not asked about; a question that has no answer yet is answered first."""
    history = await memory.aget_all()
    if history and history[-1].role is MessageRole.USER:
        await agent(at).run(chat_history=history, memory=memory)
    asked = sum(message.role is MessageRole.USER for message in history)
    for city in CITIES[asked:]:
        await agent(at).run(city, memory=memory)


def plain(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """What is compared of messages: all of it."""
    return [message.model_dump(mode="json") for message in messages]
