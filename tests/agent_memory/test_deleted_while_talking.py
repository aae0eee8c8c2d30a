"""A session that is deleted while somebody talks in it leaves no memory, whoever was faster."""

from __future__ import annotations

import asyncio
import random

from miniagent_store import AgentMemory, SessionNotFoundError, StoreError, open_store
from miniagent_store.session import SessionAgent


async def test_nothing_is_remembered_of_a_deleted_session(url: str) -> None:
    chance = random.Random(7)
    async with (
        open_store(url) as other,
        SessionAgent(store=url, model="echo", memory=AgentMemory()) as agent,
    ):
        kept = await agent.create_session(user_id="ada")
        await agent.run_session(kept, "My dog is called Rex")

        async def talk(session_id: str) -> None:
            for number in range(6):
                try:
                    await agent.run_session(session_id, f"Fact {number} is tea")
                except SessionNotFoundError:
                    return

        async def delete(session_id: str, pause: float) -> None:
            await asyncio.sleep(pause)
            assert await other.delete(session_id)
            # At once, and not only when the agent has come to rest.
            shown = {each.source.session_id for each in await memory.list(limit=500) if each.source}
            assert session_id not in shown

        memory = other.memory("ada")
        sessions = [await agent.create_session(user_id="ada") for _ in range(12)]
        await asyncio.gather(
            *(work for each in sessions for work in (talk(each), delete(each, chance.uniform(0, 0.15))))
        )
        await agent.settle_memory()
        left = {each.source.session_id for each in await memory.list(limit=500) if each.source}
        assert left == {kept}
        texts = [each.text for each in await memory.search("Fact 1 is tea", k=100)]
        assert not [each for each in texts if "tea" in each]


async def test_taken_back_while_it_is_remembered(url: str) -> None:
    """What stands at the end is remembered once, and nothing else, however messages came and went."""
    chance = random.Random(11)
    async with (
        open_store(url) as other,
        SessionAgent(store=url, model="echo", memory=AgentMemory()) as agent,
    ):
        session_id = await agent.create_session(user_id="ada")

        async def talk() -> None:
            for number in range(25):
                await agent.run_session(session_id, f"Fact {number} is tea")

        async def take_back() -> None:
            for _ in range(12):
                await asyncio.sleep(chance.uniform(0, 0.03))
                last = (await other.get(session_id)).position.seq()
                way = chance.choice(("redact", "rewind", "pop", "clear"))
                try:
                    if way == "redact" and last:
                        await other.redact(session_id, last, reason="asked for")
                    elif way == "rewind" and last > 2:
                        await other.rewind(session_id, to=last - 2)
                    elif way == "pop":
                        await other.pop(session_id, 1)
                    elif way == "clear" and chance.random() < 0.3:
                        await other.clear(session_id)
                except StoreError:
                    continue  # what it meant is gone already

        await asyncio.gather(talk(), take_back())
        await agent.settle_memory()
        memory = other.memory("ada")
        await memory.follow(session_id, AgentMemory().remember)
        stands = sorted(
            (each.seq, each.value["content"])
            for each in await other.entries(session_id)
            if not each.redacted
        )
        remembered = sorted(
            (each.source.seq, each.text)
            for each in await memory.list(limit=500)
            if each.source is not None and each.source.seq is not None
        )
        assert remembered == stands
