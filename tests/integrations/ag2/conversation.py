"""A process that holds a conversation, and kills itself at a given moment.

python -m tests.integrations.ag2.conversation URL STREAM [MOMENT]
"""

import asyncio
import itertools
import os
import signal
import sys
from uuid import UUID

from miniagent_store.integrations.ag2 import MiniAgentStorage
from tests.integrations.ag2.model import converse


async def main(url: str, stream_id: UUID, kill_at: int) -> None:
    moments = itertools.count(1)

    def at(moment: str) -> None:
        if next(moments) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    await converse(MiniAgentStorage(url), stream_id, at)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0))
