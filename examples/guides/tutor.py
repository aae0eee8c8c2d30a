"""A tutor: each lesson is a session, what a student can do is kept beside, and long lessons fit the model.

python examples/guides/tutor.py                           # in memory
python examples/guides/tutor.py redis://localhost:6379/0  # or on any store
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from miniagent_store import AgentConfig, ContextWindow, Message, ToolCall, ToolContext, open_store
from miniagent_store.session import SessionAgent


async def mark(topic: str, right: bool, context: ToolContext) -> str:
    """Write down whether an answer was right.

    Args:
        topic: what the exercise was about.
        right: whether the answer was.
    """
    progress = context.store.user(context.session.user_id or "")
    # Counters: two lessons at once, on two devices, lose no count.
    asked = await progress.add(f"asked/{topic}")
    correct = await progress.add(f"right/{topic}", int(right))
    return f"{correct} of {asked} right"


async def model(messages: list[Message], config: AgentConfig, *, tools: Any) -> AsyncIterator[Any]:
    """In place of "openai:gpt-4o-mini": marks an answer, and says how it stands."""
    if messages[-1].role == "user":
        right = messages[-1].content == "7 × 8 = 56"
        yield ToolCall(f"call-{len(messages)}", "mark", {"topic": "times tables", "right": right})
    else:
        yield f"{messages[-1].content}."


async def main(url: str = "memory://") -> None:
    window = ContextWindow(tokens=2000)  # what the model sees; the lesson is kept whole
    async with (
        open_store(url, ttl="365d") as store,
        SessionAgent(store=store, model=model, tools=[mark], window=window) as tutor,
    ):
        monday = await tutor.create_session("ada", metadata={"lesson": "times tables"})
        for answer in ("7 × 8 = 54", "7 × 8 = 56"):
            print(f"ada: {answer}   tutor: {await tutor.run_session(monday, answer)}")

        # Another day, another session, perhaps another machine.
        tuesday = await tutor.create_session("ada", metadata={"lesson": "again"})
        print(f"ada: 7 × 8 = 56   tutor: {await tutor.run_session(tuesday, '7 × 8 = 56')}")

        for name, count in await store.user("ada").scan():
            print(f"{name}: {count}")
        for session in await store.list(user_id="ada"):
            print(f"lesson {session.metadata['lesson']!r}: {session.message_count} messages")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
