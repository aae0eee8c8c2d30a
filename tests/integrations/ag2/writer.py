"""A process that runs turns of a stream which others run too.

python -m tests.integrations.ag2.writer URL STREAM NAME TURNS [exclusive]
"""

import asyncio
import sys
from uuid import UUID

from ag2 import MemoryStream

from miniagent_store.integrations.ag2 import MiniAgentStorage
from tests.integrations.ag2.model import agent


async def main(url: str, stream_id: str, name: str, turns: int, *, exclusive: bool) -> None:
    storage = MiniAgentStorage(url)
    asked = agent(middleware=[storage.exclusive(wait=60)] if exclusive else [])
    for number in range(turns):
        await asked.ask(f"{name}-{number}", stream=MemoryStream(storage, id=UUID(stream_id)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], int(sys.argv[4]), exclusive=sys.argv[5:] == ["exclusive"]))
