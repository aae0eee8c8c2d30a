"""What is left when four processes append to one session at once: every message, or only some."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from miniagent_store.bench.contestants import contestants, url_for
from miniagent_store.bench.figures import OURS, SEALED
from miniagent_store.bench.peers.base import MessageDict, Peer
from miniagent_store.bench.places import Place
from miniagent_store.bench.rounds import Run, describe

AREA = "four writers"
KEPT, UNBROKEN, REFUSED = "messages kept", "turns unbroken", "appends refused"
PROCESSES, TURNS = 4, 25
START: Sequence[MessageDict] = (
    {"role": "user", "content": "start"},
    {"role": "assistant", "content": "start"},
)
WRITTEN = len(START) + PROCESSES * TURNS * 2
_MARK = re.compile(r"writer-(\d+) turn-(\d+) (question|answer)")
_TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class Left:
    """What was found afterwards.

    Attributes:
        kept: messages.
        unbroken: turns whose answer follows their question.
    """

    kept: int
    unbroken: int


def turn_of(writer: int, number: int) -> list[MessageDict]:
    """One turn, which can be told from all others."""
    padding = "x" * 340
    return [
        {"role": role, "content": f"writer-{writer} turn-{number} {part} {padding}"}
        for role, part in (("user", "question"), ("assistant", "answer"))
    ]


def what_is_left(messages: Sequence[Any]) -> Left:
    """Count messages and unbroken turns; messages may be of any type that shows its text."""
    marks = [match.groups() if (match := _MARK.search(str(each))) else None for each in messages]
    unbroken = {
        first[:2]
        for first, second in pairwise(marks)
        if first and second and first[2] == "question" and second == (*first[:2], "answer")
    }
    return Left(len(messages), len(unbroken))


async def measure_writers(run: Run, place: Place) -> None:
    """Of 202 messages of 100 turns: how many are kept, and how many turns are unbroken."""
    if not place.shared:
        return
    run.tell(f"{place.kind}: four processes on one session")
    async with contestants(run, place, with_peers=run.plan.writer_peers) as subjects:
        for name, peer in subjects.items():
            if name == SEALED:
                continue
            try:
                await peer.append("writers", START)
                refused = await _write(place, peer)
                left = what_is_left(await peer.whole("writers"))
                await peer.clear("writers")
            except Exception as problem:
                if name == OURS:
                    raise
                run.note(f"{place.kind}, four writers: {name} failed: {describe(problem)}")
                continue
            for operation, count in ((KEPT, left.kept), (UNBROKEN, left.unbroken), (REFUSED, refused)):
                run.add(
                    {name: [count]},
                    area=AREA,
                    place=place.kind,
                    unit="",
                    baseline=None,
                    operation=operation,
                    better="lower" if operation == REFUSED else "higher",
                )


async def _write(place: Place, peer: Peer) -> int:
    """Let the processes write; how many appends were refused with an error."""
    kind = type(peer)
    arguments = {"place": [str(place.kind), place.url.render(), place.own, place.tenant, place.start]}
    start = getattr(peer, "start", None)
    task = {
        "module": kind.__module__,
        "name": kind.__qualname__,
        "arguments": arguments if peer.name == OURS else {"start": start} if start else {},
        "url": url_for(place, peer.name),
    }
    async with AsyncExitStack() as stack:
        processes = []
        for _ in range(PROCESSES):
            # What is secret in the URL goes over a pipe, where no list of processes shows it.
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "miniagent_store.bench.writer_process",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            stack.push_async_callback(_end, process)
            processes.append(process)
        async with asyncio.timeout(_TIMEOUT):
            for number, process in enumerate(processes):
                await _say(process, {**task, "writer": number, "turns": TURNS})
            for process in processes:
                await _hear(process)
            # Only when all are ready: they are to meet.
            for process in processes:
                await _say(process, "go")
            return sum([int(await _hear(process)) for process in processes])


async def _say(process: asyncio.subprocess.Process, what: Any) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(what).encode() + b"\n")
    await process.stdin.drain()


async def _hear(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    line = await process.stdout.readline()
    if not line:
        told = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
        raise RuntimeError(f"a writing process ended: {told[-1] if told else 'it said nothing'}")
    return line.decode().strip()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()
