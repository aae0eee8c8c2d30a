"""A workflow of many turns: each step is one commit with what was said, and a crash loses no step.

python examples/guides/workflow.py                           # in memory
python examples/guides/workflow.py redis://localhost:6379/0  # or on any store
"""

import asyncio
import sys
from typing import Any

from miniagent_store import Message, SessionStore, Turn, open_store

charged: list[str] = []  # what the payment service has done


async def ask_for_room(turn: Turn, said: str) -> str:
    turn.state.set("room", said)
    return "For how many nights?"


async def ask_for_nights(turn: Turn, said: str) -> str:
    turn.state.set("nights", int(said))  # "two" raises, and nothing of the turn is stored
    return "Shall I book it?"


async def book(turn: Turn, said: str) -> str:
    # Named by the session, so that asked for twice it is done once.
    await charge(turn.session.id)
    return "It is booked."


async def charge(key: str) -> None:
    """A payment service that knows a key of idempotency, and whose answer is lost the first time."""
    if key not in charged:
        charged.append(key)
        raise ConnectionError("the payment service was cut off")


STEPS: list[Any] = [ask_for_room, ask_for_nights, book]


async def step(store: SessionStore, session_id: str, said: str) -> str:
    """One turn: which step it is, what was said and what came of it change together, or not at all."""
    async with store.turn(session_id, wait=30) as turn:
        number = await store.state(session_id).get("step", default=0)
        answer: str = await STEPS[number](turn, said)
        turn.append(Message.user(said), Message.assistant(answer))
        turn.state.set("step", number + 1)
    return answer


async def main(url: str = "memory://") -> None:
    async with open_store(url, ttl="7d") as store:
        session = await store.create(user_id="ada")
        for said in ("The blue room", "two", "2", "Yes", "Yes"):
            try:
                print(f"ada: {said:<14} agent: {await step(store, session.id, said)}")
            except (ValueError, ConnectionError) as error:
                print(f"ada: {said:<14} (failed: {error})")

        snapshot = await store.snapshot(session.id, state=True)
        print(f"{len(snapshot.history)} messages, state {dict(snapshot.state)}")
        print(f"charged {len(charged)} time")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
