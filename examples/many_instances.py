"""Three instances answer one user's session at once, and it reads as if there were one.

python examples/many_instances.py                                 # in a SQLite file of its own
python examples/many_instances.py redis://localhost:6379/0        # or on any store that processes share
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from miniagent_store import Message, open_store

SESSION, INSTANCES, TURNS = "many-instances", 3, 4


async def instance(url: str) -> None:
    """What each instance behind a load balancer does."""
    async with open_store(url) as store:

        @store.cache.cached(ttl="1h")
        async def weather(city: str) -> str:  # computed by one instance, found by the others
            print(f"  instance {os.getpid()} looks up {city}", flush=True)
            return "sunny"

        @store.rate_limited(100, "1m", key="model")
        async def model(question: str) -> str:
            return f"In Paris it is {await weather('Paris')}, since you ask: {question}"

        for number in range(TURNS):
            async with store.turn(SESSION, create=True) as turn:  # first come, first served
                question = f"question {number} of {os.getpid()}"
                turn.append(Message.user(question), Message.assistant(await model(question)))


async def main(url: str) -> None:
    """Start the instances, and watch what they do."""
    async with open_store(url) as store:
        await store.delete(SESSION)
        await store.cache.clear()
        session = await store.create(SESSION, user_id="ada")
        command = [sys.executable, __file__, url, "instance"]
        instances = [await asyncio.create_subprocess_exec(*command) for _ in range(INSTANCES)]
        messages: list[Message] = []
        async for event in store.watch(SESSION, after=session.position):
            messages += [entry.message for entry in event.entries]
            print(f"{len(messages)} messages", flush=True)
            if len(messages) == 2 * TURNS * INSTANCES:
                break
        for each in instances:
            if await each.wait():
                raise subprocess.CalledProcessError(each.returncode or 1, command)
        roles = [message.role for message in messages]
        print("turns alternate:", roles == ["user", "assistant"] * TURNS * INSTANCES)


if __name__ == "__main__":
    if sys.argv[2:] == ["instance"]:
        asyncio.run(instance(sys.argv[1]))
    elif sys.argv[1:]:
        asyncio.run(main(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(main(f"sqlite:///{Path(folder) / 'sessions.db'}"))
