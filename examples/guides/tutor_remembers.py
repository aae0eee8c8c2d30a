"""A tutor that remembers what a student finds hard, and leaves out what they know by now.

python examples/guides/tutor_remembers.py                           # in memory
python examples/guides/tutor_remembers.py redis://localhost:6379/0  # or on any store
"""

import asyncio
import sys

from miniagent_store import AgentMemory, Message, open_store
from miniagent_store.session import SessionAgent


def what_is_hard(message: Message) -> str | None:
    """Of all that is said in a lesson, only what the student finds hard."""
    return str(message.content) if message.role == "user" and "hard" in str(message.content) else None


async def main(url: str = "memory://") -> None:
    # A lesson is forgotten after a year, and what was hard in it after half of one.
    memory = AgentMemory(remember=what_is_hard, tokens=200, ttl="180d")
    async with (
        open_store(url, ttl="365d") as store,
        SessionAgent(store=store, model="echo", memory=memory) as tutor,
    ):
        monday = await tutor.create_session("ada")
        for said in ("Hello!", "Fractions are hard for me.", "So is dividing, it is hard.", "Bye!"):
            await tutor.run_session(monday, said)
        await tutor.settle_memory()  # it is done in the background; only an example waits for it

        tuesday = await tutor.create_session("ada")
        print(await tutor.run_session(tuesday, "What do you know of me and fractions?"))

        # By now fractions are easy: the memory goes, the lesson stands.
        [hard] = await store.memory("ada").search("fractions", k=1)
        await store.memory("ada").delete(hard.id)
        wednesday = await tutor.create_session("ada")
        print(await tutor.run_session(wednesday, "What do you know of me?"))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
