"""Whoever is killed, whenever: what was said is remembered, and once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from miniagent_store import AgentMemory, SessionStore, open_store
from miniagent_store.session import SessionAgent
from tests.agent_memory.conftest import LASTING
from tests.agent_memory.talking import Talkers


async def test_told_in_one_session_asked_in_another_after_a_kill(lasting_url: str) -> None:
    async with open_store(lasting_url) as store:
        session = await store.create(user_id="ada")
        talkers = Talkers(lasting_url, [session.id], turns=1000)
        talkers.start()
        try:
            async with asyncio.timeout(30):
                while len(talkers.told) < 3:
                    await talkers.listen()
        finally:
            talkers.stop()
    async with SessionAgent(store=lasting_url, model="echo", memory=AgentMemory()) as agent:
        await agent.settle_memory()
        other = await agent.create_session(user_id="ada")
        for _, said in talkers.told[:3]:
            answer = await agent.run_session(other, f"What do you know? {said}")
            assert answer.startswith("I remember: ")
            assert said in answer
        await _all_is_remembered_once(agent.store, [session.id], {"ada"}, but=other)


FEW, MANY = (3, 4, 40), (20, 200, 12)


@pytest.mark.parametrize(
    ("lasting_url", "processes", "kills", "turns"),
    [
        pytest.param("sqlite", *FEW, id="few"),
        *(pytest.param(kind, *MANY, id=f"many-{kind}", marks=pytest.mark.slow) for kind in LASTING),
    ],
    indirect=["lasting_url"],
)
async def test_each_message_is_remembered_once_however_often_they_are_killed(
    lasting_url: str, processes: int, kills: int, turns: int
) -> None:
    chance = random.Random(processes)
    users = {"ada", "bob", "eve"}
    async with open_store(lasting_url) as store:
        sessions = [(await store.create(user_id=user)).id for user in sorted(users) * 2]
        talkers = Talkers(lasting_url, sessions, turns)
        try:
            for _ in range(processes):
                talkers.start()
            loop, killed = asyncio.get_running_loop(), 0
            next_kill = loop.time() + 0.5
            async with asyncio.timeout(60 + 2 * kills):
                # With many kills all speak to their end, past the turns that the dead still hold.
                while not talkers.is_done and not (killed == kills == FEW[1]):
                    await talkers.listen()
                    if killed < kills and talkers.told and loop.time() >= next_kill:
                        if talkers.kill(chance):
                            killed += 1
                        talkers.start()
                        next_kill = loop.time() + chance.uniform(0.02, 0.3)
        finally:
            talkers.stop()
    assert killed == kills
    assert talkers.told
    async with SessionAgent(store=lasting_url, model="echo", memory=AgentMemory()) as agent:
        await agent.settle_memory()
        await _all_is_remembered_once(agent.store, sessions, users)
        said = {
            (each, entry.value["content"]) for each in sessions for entry in await agent.store.entries(each)
        }
        assert said >= set(talkers.told)


async def _all_is_remembered_once(
    store: SessionStore, sessions: list[str], scopes: set[str], but: str = ""
) -> None:
    remembered: Counter[tuple[str, int, str]] = Counter()
    for scope in scopes:
        cursor = None
        while True:
            page = await store.memory(scope).list(limit=200, cursor=cursor)
            for each in page:
                assert each.source is not None
                assert each.source.seq is not None
                if each.source.session_id != but:
                    remembered[each.source.session_id, each.source.seq, each.text] += 1
            cursor = page.next_cursor
            if cursor is None:
                break
    said: Counter[tuple[str, int, str]] = Counter()
    for session_id in sessions:
        for entry in await store.entries(session_id):
            said[session_id, entry.seq, entry.value["content"]] += 1
    assert remembered == said
