"""An AG2 agent that is stopped in the middle of a turn, and a new one that ends it.

python examples/frameworks/ag2_agent.py [redis://localhost:6379/0]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from uuid import uuid4

from ag2 import Agent, MemoryStream
from ag2.events import ToolCallEvent, ToolCallsEvent, ToolResultEvent
from ag2.testing import TestConfig
from ag2.tools import tool

from miniagent_store.integrations.ag2 import MiniAgentStorage

# A script stands in for a model; any `ModelConfig` of AG2 may.
MODEL = TestConfig(ToolCallEvent("weather", arguments='{"city": "Oslo"}'), "Take a coat: it snows in Oslo.")
started = asyncio.Event()
FIRST = True


@tool
async def weather(city: str) -> str:
    """The weather in a city."""
    started.set()
    if FIRST:
        await asyncio.sleep(3600)
    return f"snow in {city}"


async def main(url: str) -> None:
    global FIRST
    stream_id = uuid4()

    # The only line that knows where histories are.
    storage = MiniAgentStorage(url)
    # The middleware is for streams that several processes run: one turn at a time.
    agent = Agent("helper", config=MODEL, tools=[weather], middleware=[storage.exclusive()])
    question = agent.ask("How is the weather in Oslo?", stream=MemoryStream(storage, id=stream_id))
    first = asyncio.create_task(question)
    await started.wait()
    first.cancel()
    await asyncio.wait([first])
    print("The first agent was stopped inside the tool.")

    # What a new process does: read what was saved, and go on from the calls that have no results.
    storage, FIRST = MiniAgentStorage(url), False
    stream = MemoryStream(storage, id=stream_id)
    events = list(await stream.history.get_events())
    print("It had saved", ", ".join(type(event).__name__ for event in events))
    last = max(number for number, event in enumerate(events) if isinstance(event, ToolCallsEvent))
    # The model has said its first line already.
    again = Agent(
        "helper", config=TestConfig(MODEL.events[1]), tools=[weather], middleware=[storage.exclusive()]
    )
    reply = await again.resume(*events[: last + 1], stream=stream)
    print(f"\nThe second agent says: {reply.response.content}")
    results = [event for event in await stream.history.get_events() if isinstance(event, ToolResultEvent)]
    print(f"The tool has answered {len(results)} time.")
    await storage.aclose()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/agents.db"))
