"""OpenAI Agents SDK: an agent that remembers, in a store of your choice. Offline, with a scripted model.

python examples/frameworks/openai_agents.py                          # a file in a temporary folder
python examples/frameworks/openai_agents.py redis://localhost:6379   # or any store
"""

import asyncio
import sys
import tempfile
import uuid

from agents import Agent, RunConfig, Runner, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call

from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.openai_agents import MiniAgentSession


@function_tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


async def main(url: str) -> None:
    # In place of the scripted model: a name, such as "gpt-5".
    model = ScriptedModel(
        steps=[
            [function_call("weather", {"city": "Paris"}, call_id="call-1")],
            [assistant_message("It is sunny in Paris. Take your sunglasses!")],
            [assistant_message("You asked about Paris.")],
        ]
    )
    agent = Agent(name="Assistant", model=model, tools=[weather])
    quiet = RunConfig(tracing_disabled=True)
    conversation = uuid.uuid4().hex

    store = StoreHandle(url)
    for question in ("How is the weather in Paris?", "What did I ask about?"):
        # Each time a new object, as in each request of a server: what was said is in the store.
        session = MiniAgentSession(conversation, store, exclusive=True)
        async with session:
            result = await Runner.run(agent, question, session=session, run_config=quiet)
        print(f"you:   {question}\nagent: {result.final_output}")

    items = await MiniAgentSession(conversation, store).get_items()
    print(f"{len(items)} items are stored:", ", ".join(item.get("type") or item["role"] for item in items))
    await store.aclose()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(*sys.argv[1:2] or [f"sqlite:///{folder}/sessions.db"]))
