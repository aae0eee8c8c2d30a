"""Processes that talk, until they are killed."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from miniagent_store import AgentMemory
from miniagent_store.session import SessionAgent

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.agent_memory.talking"])


def talk(url: str, sessions: Sequence[str], seed: int, turns: int, told: Connection) -> None:
    """Say something in sessions in turn; what was answered is told."""
    asyncio.run(_talk(url, sessions, seed, turns, told))


async def _talk(url: str, sessions: Sequence[str], seed: int, turns: int, told: Connection) -> None:
    chance = random.Random(seed)
    async with SessionAgent(store=url, model="echo", memory=AgentMemory(), sweep_interval=0.5) as agent:
        for number in range(turns):
            session_id = chance.choice(sessions)
            said = f"Fact {seed}/{number} is {chance.choice(('tea', 'dogs', 'Berlin', 'jazz'))}"
            await agent.run_session(session_id, said)
            told.send((session_id, said))


class Talkers:
    """Starts talkers, and kills them.

    Args:
        url: of their store.
        sessions: in which they talk.
        turns: how often each of them speaks, if it lives.
    """

    def __init__(self, url: str, sessions: Sequence[str], turns: int) -> None:
        self._url, self._sessions, self._turns = url, sessions, turns
        self._running: list[ForkServerProcess] = []
        self._ears: list[Connection] = []
        self._seed = 0
        self.told: list[tuple[str, str]] = []

    def start(self) -> None:
        """One more."""
        ours, theirs = _context.Pipe(duplex=False)
        self._seed += 1
        process = _context.Process(
            target=talk, args=(self._url, self._sessions, self._seed, self._turns, theirs), daemon=True
        )
        process.start()
        theirs.close()
        self._running.append(process)
        self._ears.append(ours)

    async def listen(self) -> None:
        """Take in what was told."""
        for ear in list(self._ears):
            try:
                while ear.poll():
                    self.told.append(ear.recv())
            except EOFError:
                self._ears.remove(ear)
        await asyncio.sleep(0.01)

    def kill(self, chance: random.Random) -> bool:
        """Kill one of those that run, if any."""
        alive = [each for each in self._running if each.is_alive()]
        if alive:
            chance.choice(alive).kill()
        return bool(alive)

    def stop(self) -> None:
        """Kill all."""
        for each in self._running:
            each.kill()
        for each in self._running:
            each.join()

    @property
    def is_done(self) -> bool:
        """Whether none runs any more, and all was heard."""
        return not self._ears and not any(each.is_alive() for each in self._running)
