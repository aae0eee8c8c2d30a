"""A process that runs turns of a conversation which others run too.

python -m tests.integrations.llama_index.writer URL SESSION NAME TURNS [exclusive]
"""

import asyncio
import sys
from contextlib import nullcontext

from miniagent_store.integrations.llama_index import MiniAgentChatStore
from tests.integrations.llama_index.model import agent, memory_on


async def main(url: str, session_id: str, name: str, turns: int, *, exclusive: bool) -> None:
    store = MiniAgentChatStore(url)
    memory = memory_on(store, session_id)
    for number in range(turns):
        async with store.exclusive(session_id, wait=60) if exclusive else nullcontext():
            await agent().run(f"{name}-{number}", memory=memory)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], int(sys.argv[4]), exclusive=sys.argv[5:] == ["exclusive"]))
