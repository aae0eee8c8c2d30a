"""pydantic-ai: conversations in a store of your choice, with a fork. Offline, with a scripted model.

python examples/frameworks/pydantic_ai_conversations.py                # a file in a temporary folder
python examples/frameworks/pydantic_ai_conversations.py redis://localhost   # or any store
"""

import asyncio
import sys
import tempfile
import uuid

from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from miniagent_store.integrations.pydantic_ai import MiniAgentConversationStore


def script(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """In place of a model: asks the tool about the last word of a question, and says what it was told."""
    last = messages[-1].parts[-1]
    if isinstance(last, ToolReturnPart):
        return ModelResponse([TextPart(f"It is {last.content}.")])
    city = str(last.content).rstrip("?").split()[-1]  # type: ignore[union-attr]
    return ModelResponse([ToolCallPart("weather", {"city": city})])


agent = Agent(FunctionModel(script))


@agent.tool_plain
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


async def main(url: str) -> None:
    name = uuid.uuid4().hex
    store = MiniAgentConversationStore(url)
    for question in ("How is the weather in Paris?", "And in Rome?"):
        # As in each request of a server: what was said is in the store.
        conversation = await store.load(name) or Conversation(conversation_id=name)
        result = await agent.run(question, conversation=conversation)
        stored = await store.save(result, scope="ada")
        print(f"you:   {question}\nagent: {result.output}   ({len(stored)} messages stored)")

    fork = await store.fork(name, at=4, new_conversation_id=f"{name}-what-if")
    result = await agent.run("And in Oslo?", conversation=fork)
    await store.save(result)
    print(f"a fork after the first answer:\nagent: {result.output}")

    for record in await store.list_conversations(scope="ada", limit=2):
        entries = await store.load_entries(record.conversation_id) or []
        kind = "fork" if record.forked_from else "conversation"
        print(f"ada has a {kind} of {len(entries)} messages, {record.usage.requests} requests")
    await store.aclose()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(*sys.argv[1:2] or [f"sqlite:///{folder}/conversations.db"]))
