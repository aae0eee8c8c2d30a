"""A personal assistant that knows what it was told in another conversation, until that is taken back.

python examples/guides/assistant_remembers.py                           # in memory
python examples/guides/assistant_remembers.py redis://localhost:6379/0  # or on any store
"""

import asyncio
import sys

from miniagent_store import AgentMemory, open_store
from miniagent_store.session import SessionAgent


async def main(url: str = "memory://") -> None:
    async with (
        open_store(url, ttl="30d") as store,
        SessionAgent(store=store, model="echo", memory=AgentMemory()) as assistant,
    ):
        first = await assistant.create_session("ada")
        await assistant.run_session(first, "My name is Ada.")
        await assistant.run_session(first, "My dog is called Rex.")
        await assistant.settle_memory()  # it is done in the background; only an example waits for it

        second = await assistant.create_session("ada")
        print("ada:", await assistant.run_session(second, "What is my name?"))
        answer = await assistant.run_session(second, "What do you know of my dog?")
        print("ada:", "Rex" in answer)
        # The answer says what it may draw on.
        recalled = (await store.history(second))[-1].metadata["recalled"]
        print("     recalled:", len(recalled) > 0)

        other = await assistant.create_session("bob")
        print("bob:", await assistant.run_session(other, "What is my name?"))

        # Taken back: the conversation goes, and at once nothing of it is found any more.
        await store.delete(first)
        await store.delete(second)
        third = await assistant.create_session("ada")
        print("ada:", await assistant.run_session(third, "What is my name?"))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
