"""A process that holds a conversation, and kills itself at a given moment.

python -m tests.integrations.llama_index.conversation URL SESSION [MOMENT]
"""

import asyncio
import itertools
import os
import signal
import sys

from miniagent_store.integrations.llama_index import MiniAgentChatStore
from tests.integrations.llama_index.model import converse, memory_on


async def main(url: str, session_id: str, kill_at: int) -> None:
    moments = itertools.count(1)

    def at(moment: str) -> None:
        if next(moments) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    await converse(memory_on(MiniAgentChatStore(url), session_id), at)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0))
