"""What answers by default: offline, and slow enough to watch it stream."""

import asyncio
import os
from collections.abc import AsyncIterator

from miniagent_store import AgentConfig, Message

PAUSE = float(os.environ.get("PAUSE", "0.1"))  # seconds between two words


async def slow_echo(messages: list[Message], config: AgentConfig) -> AsyncIterator[str]:
    """Repeats the question, word by word, and says how many came before it."""
    before = sum(message.role == "user" for message in messages) - 1
    answer = f"You said: {messages[-1].content} (I have answered {before} questions before this one.)"
    for word in answer.split(" "):
        yield f"{word} "
        await asyncio.sleep(PAUSE)
