"""A model that calls Python functions: what they say is stored with the turn, and shared where it may be.

python examples/tools.py                        # offline, with a small model that is a function
python examples/tools.py openai:gpt-4o-mini     # or with a real one; needs OPENAI_API_KEY
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from miniagent_store import AgentConfig, Message, ToolCall, ToolContext, tool
from miniagent_store.session import SessionAgent


@tool(cacheable=True, ttl="1h")  # whoever asks, on whichever instance, within the hour
async def weather(city: str) -> dict[str, Any]:
    """The weather in a city.

    Args:
        city: its name, such as "Paris".
    """
    print(f"  (looking up the weather in {city})")
    return {"city": city, "sky": "clear", "celsius": 21}


async def remember(what: str, context: ToolContext) -> str:
    """Remember something about the user, for all their sessions.

    Args:
        what: in a few words.
    """
    await context.store.user(context.session.user_id or "").set("note", what)
    return "noted"


async def small_model(
    messages: list[Message], config: AgentConfig, *, tools: Any, tool_choice: str
) -> AsyncIterator[Any]:
    """Calls both tools for a question, and repeats what they said."""
    if messages[-1].role == "user":
        yield "Let me see. "
        yield ToolCall("call-1", "weather", {"city": "Paris"})
        yield ToolCall("call-2", "remember", {"what": "asks about Paris"})
    else:
        yield f"I was told: {messages[-2].content}, and it is {messages[-1].content}."


async def main(url: str, model: Any) -> None:
    async with SessionAgent(store=url, model=model, tools=[weather, remember]) as agent:
        for _ in range(2):  # the second time, the weather is in the cache
            session_id = await agent.create_session("ada")
            question = "What is the weather in Paris? And remember that I ask about it."
            print(await agent.run_session(session_id, question))
        for message in await agent.store.history(session_id):
            calls = [call["function"]["name"] for call in message.tool_calls or ()]
            print(f"{message.role:>9}: {message.content or ''} {calls or ''}")
        print("of Ada it is known:", await agent.store.user("ada").get("note"))


with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(f"sqlite:///{Path(folder) / 'sessions.db'}", *sys.argv[1:2] or [small_model]))
