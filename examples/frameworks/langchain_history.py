"""LangChain: answers that are paid for once, and a chat history, in a store of your choice. Offline.

python examples/frameworks/langchain_history.py                          # a file in a temporary folder
python examples/frameworks/langchain_history.py redis://localhost:6379   # or any store
"""

import asyncio
import sys
import tempfile
import time
import uuid

from langchain_core.globals import set_llm_cache
from langchain_core.language_models import FakeListChatModel

from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.langchain import MiniAgentChatMessageHistory, MiniAgentLLMCache


async def main(url: str) -> None:
    store = StoreHandle(url)
    set_llm_cache(MiniAgentLLMCache(store, ttl="1h"))
    # In place of the scripted model: any of LangChain's. It takes half a second to think.
    model = FakeListChatModel(responses=["It is sunny in Paris."], sleep=0.5)

    conversation = uuid.uuid4().hex
    for _ in range(2):
        # A new object for each call, as in each request of a server.
        history = MiniAgentChatMessageHistory(conversation, store)
        await history.aget_messages()
        began = time.perf_counter()
        answer = await model.ainvoke(f"How is the weather? ({conversation})")
        took = time.perf_counter() - began
        print(f"{answer.content} ({took * 1000:.0f} ms)")
        history.add_user_message("How is the weather?")
        await history.aadd_messages([answer])

    messages = await MiniAgentChatMessageHistory(conversation, store).aget_messages()
    print(f"{len(messages)} messages are stored:", ", ".join(each.type for each in messages))
    await store.aclose()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(*sys.argv[1:2] or [f"sqlite:///{folder}/sessions.db"]))
