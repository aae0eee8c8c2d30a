"""A team in one conversation: people and two agents, on several instances, and everyone sees the same.

python examples/guides/team.py                           # in memory
python examples/guides/team.py redis://localhost:6379/0  # or on any store
"""

import asyncio
import sys

from miniagent_store import Message, RateLimitedError, SessionStore, open_store


async def agent(name: str, history: list[Message]) -> Message:
    """In place of a model."""
    return Message.assistant(f"{history[-1].content.split()[-1]}: noted", name=name)


async def say(store: SessionStore, room: str, who: str, text: str, to: str) -> None:
    """A member asks an agent. Whoever comes first, the answer stands behind its question."""
    allowed = await store.rate_limit(f"member:{who}", 3, "1m")
    if not allowed:
        raise RateLimitedError(f"member:{who}", retry_after=allowed.retry_after)
    async with store.turn(room, wait=30) as turn:
        question = Message.user(text, name=who)
        turn.append(question, await agent(to, [*turn.history, question]))


async def screen(store: SessionStore, room: str, expected: int) -> list[str]:
    """What one member sees: each message once, in order, wherever it was written."""
    seen: list[str] = []
    session = await store.get(room)
    async for event in store.watch(room, after=session.position):
        seen += [f"{entry.message.name}: {entry.message.content}" for entry in event.entries]
        if len(seen) >= expected:
            break
    return seen


async def main(url: str = "memory://") -> None:
    async with open_store(url) as store:
        room = (await store.create(tags=["team"], metadata={"members": ["ada", "grace"]})).id
        screens = [asyncio.create_task(screen(store, room, expected=8)) for _ in range(2)]
        await asyncio.sleep(0)  # both watch from here on

        await asyncio.gather(
            say(store, room, "ada", "We need tests", "planner"),
            say(store, room, "grace", "We need docs", "writer"),
            say(store, room, "ada", "And a release", "planner"),
            say(store, room, "grace", "And a party", "planner"),
        )

        ours, theirs = await asyncio.gather(*screens)
        print("\n".join(ours))
        print("both see the same:", ours == theirs)
        pairs = zip(ours[::2], ours[1::2], strict=True)
        print("each answer follows its question:", all(q.split()[-1] in a for q, a in pairs))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
