"""LangChain: what `RunnableWithMessageHistory` asks of a history in a turn with a call of a tool."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from benchmarks.frameworks.contestant import Contestant, Places, Turn
from miniagent_store import open_store
from miniagent_store.integrations.langchain import MiniAgentChatMessageHistory

PACKAGE = "langchain-core"
MESSAGES: list[BaseMessage] = [
    HumanMessage("How is the weather in Paris? " * 4),
    AIMessage(
        "", tool_calls=[{"name": "weather", "args": {"city": "Paris"}, "id": "c", "type": "tool_call"}]
    ),
    ToolMessage("sunny, 21 degrees, a light wind", tool_call_id="c"),
    AIMessage("It is sunny in Paris. " * 8),
]


def contestants(places: Places) -> list[Contestant]:
    @asynccontextmanager
    async def ours(history: int, url: str) -> AsyncIterator[Turn]:
        async with open_store(url) as store:
            session = f"of {history}"
            await MiniAgentChatMessageHistory(session, store).aadd_messages(
                [MESSAGES[number % 4] for number in range(history)]
            )

            async def turn() -> None:
                # The second reading of a call costs nothing.
                of_call = MiniAgentChatMessageHistory(session, store)
                await of_call.aget_messages()
                await of_call.aget_messages()
                await of_call.aadd_messages(MESSAGES)

            yield turn

    return [
        Contestant("ours, SQLite", lambda history: ours(history, places.sqlite)),
        Contestant("ours, Redis", lambda history: ours(history, places.redis)),
    ]
