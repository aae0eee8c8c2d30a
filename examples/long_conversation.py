"""A long conversation through a small window: the model sees a summary and the last messages.

python examples/long_conversation.py           # 100 turns
python examples/long_conversation.py 1000      # or more; what a turn costs does not grow
"""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from miniagent_store import AgentConfig, Compaction, ContextWindow, Message
from miniagent_store.session import SessionAgent

BUDGET = 4000
window = ContextWindow(tokens=BUDGET)
shown: list[int] = []


async def model(messages: list[Message], config: AgentConfig) -> str:
    """Remembers what it is shown, and nothing else."""
    shown.append(window.count(messages))
    known = " ".join(str(message.content) for message in messages)
    name = "Ada" if "Ada" in known else "stranger"
    return f"Dear {name}, you said: {messages[-1].content}" + " and so on" * 20


async def summarize(messages: Sequence[Message], summary: str | None) -> str:
    """Where a real one would be "openai:gpt-4o-mini"."""
    said = [str(message.content) for message in messages if message.role == "user"]
    facts = [text for text in [*(summary or "").split("\n"), *said] if "my name" in text]
    return "\n".join([*facts, f"… and up to: {said[-1]}"])


async def main(url: str, turns: int) -> None:
    compaction = Compaction(summarize)
    async with SessionAgent(store=url, model=model, window=window, compaction=compaction) as agent:
        session_id = await agent.create_session()
        answer = await agent.run_session(session_id, "Hello, my name is Ada.")
        for turn in range(2, turns + 1):
            answer = await agent.run_session(session_id, f"This is turn {turn}.")
        summary = await compaction.read(agent.store, session_id)
        print(answer[:40], "…")
        print(f"{await agent.store.count(session_id)} messages are stored")
        print(f"the model was shown at most {max(shown)} of {BUDGET} tokens")
        if summary is not None:
            print(
                f"a summary covers the first {summary.upto} messages:\n  "
                + summary.text.replace("\n", "\n  ")
            )


with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(f"sqlite:///{Path(folder) / 'sessions.db'}", int(*sys.argv[1:2] or [100])))
