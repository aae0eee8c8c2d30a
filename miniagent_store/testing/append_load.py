"""Run as a process: many tasks append turns at once, each to a session of its own.

    python -m miniagent_store.testing.append_load URL PREFIX TASKS TURNS

Prints "ready" when the sessions are there, waits for a line, appends, and prints what `Load` says. Several
such processes share the start: see `run_processes`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from miniagent_store.factory import open_store
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.syncs import SyncCounter
from miniagent_store.values import Message

# Two messages of 400 B.
TURN = (Message.user("q" * 400), Message.assistant("a" * 400))
_FAREWELL = 60


@dataclass(frozen=True, slots=True)
class Load:
    """What a process did.

    Attributes:
        turns: appended, by all its tasks.
        seconds: from the start to the last acknowledgement.
        cpu_seconds: of all threads of the process meanwhile.
    """

    turns: int
    seconds: float
    cpu_seconds: float


async def append_turns(store: SessionStore, sessions: Sequence[str], turns: int) -> Load:
    """A task for each of `sessions` appends so many turns, one after the other."""

    async def one(session_id: str) -> None:
        for _ in range(turns):
            await store.append(session_id, *TURN)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*map(one, sessions))
    return Load(len(sessions) * turns, time.perf_counter() - started, time.process_time() - cpu)


def run_processes(
    url: str, processes: int, tasks: int, turns: int, syncs: SyncCounter | None = None
) -> tuple[list[Load], int]:
    """Let processes append together.

    Args:
        url: of the store that they share.
        processes: how many.
        tasks, turns: of each.
        syncs: counts their fsyncs.

    Returns:
        What each did; and the fsyncs between the start and the last acknowledgement, 0 if not counted.
    """
    module = [sys.executable, "-m", "miniagent_store.testing.append_load"]
    environment = None if syncs is None else syncs.environment()
    with ExitStack() as stack:
        running = []
        for number in range(processes):
            command = [*module, url, f"p{number}-", str(tasks), str(turns)]
            if syncs is not None:
                command = syncs.command(command)
            process = subprocess.Popen(
                command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            running.append(process)
        for process in running:
            _line_of(process)
        before = 0 if syncs is None else syncs.count()
        for process in running:
            _let_go_on(process)
        loads = [Load(**json.loads(_line_of(process))) for process in running]
        counted = 0 if syncs is None else syncs.count() - before
        for process in running:
            _let_go_on(process)
            process.wait(_FAREWELL)
    return loads, counted


def _line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended early")
    return line


def _let_go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


async def _main(url: str, prefix: str, tasks: int, turns: int) -> None:
    async with open_store(url) as store:
        sessions = [f"{prefix}{number}" for number in range(tasks)]
        for session_id in sessions:
            await store.append(session_id, *TURN, create=True)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        load = await append_turns(store, sessions, turns)
        print(json.dumps(asdict(load)), flush=True)
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
