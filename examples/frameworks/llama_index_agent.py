"""A LlamaIndex agent whose memory survives the process: run it twice with a URL, and it goes on.

python examples/frameworks/llama_index_agent.py [redis://localhost:6379/0]
"""

import asyncio
import sys
import tempfile
import warnings

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.memory import Memory
from llama_index.core.tools import FunctionTool

from miniagent_store.integrations.llama_index import MiniAgentChatStore

# LlamaIndex's workflows look at attributes that pydantic has deprecated.
warnings.simplefilter("ignore", DeprecationWarning)


def weather(city: str) -> str:
    """The weather in a city."""
    return f"18 °C and sunny in {city}"


def fake_model(messages: list[ChatMessage], **_: object) -> ChatMessage:
    """Asks the tool first, and answers with what it said; any LLM of LlamaIndex may stand in its place."""
    last = messages[-1]
    if last.role is MessageRole.TOOL:
        return ChatMessage(role="assistant", content=f"It is {last.content}.")
    city = str(last.content).split()[-1].strip("?")
    call = ToolCallBlock(
        tool_call_id=f"call-{len(messages)}", tool_name="weather", tool_kwargs={"city": city}
    )
    return ChatMessage(role="assistant", blocks=[call])


async def main(url: str) -> None:
    agent = FunctionAgent(
        tools=[FunctionTool.from_defaults(weather)],
        llm=MockFunctionCallingLLM(response_generator=fake_model),
        streaming=False,
    )
    # One store for all conversations of a process; the only line that knows where they are.
    chat_store = MiniAgentChatStore(url)
    memory = Memory.from_defaults(session_id="ada", chat_store=chat_store)
    for city in ("Oslo", "Rome"):
        question = f"How is the weather in {city}?"
        # Two instances that are asked at once answer one after the other.
        async with chat_store.exclusive("ada"):
            answer = await agent.run(question, memory=memory)
        print(f"{question}  {answer}")
    print(f"\n{await chat_store.count_messages('ada')} messages stand in {chat_store!r}:")
    for message in await memory.aget():
        said = message.content or ", ".join(
            f"{block.tool_name}({block.tool_kwargs})"
            for block in message.blocks
            if isinstance(block, ToolCallBlock)
        )
        print(f"  {message.role.value:>9}  {said}")
    await chat_store.aclose()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/chat.db"))
