"""What another process does to a file: ``python sqlite_process.py WHAT PATH …``; run by the tests."""

from __future__ import annotations

import asyncio
import itertools
import os
import resource
import sqlite3
import sys
import time
from contextlib import suppress

from sqlite_support import backend_on, commit, opened, payloads

from miniagent_store.backend import LeaseGrant, LeaseRequest, ListQuery
from miniagent_store.errors import AccessDeniedError, CapacityError, WrongLoopError


async def append(path: str, session_id: str, tasks: str, count: str) -> None:
    """Append numbers by many tasks at once, and tell of each that is stored."""

    async def one(task: int) -> None:
        for number in range(int(count)):
            text = f"{os.getpid()}:{task}:{number}"
            result = await backend.commit(commit(session_id, text.encode()))
            print(result.outcome.sequences[0], text, flush=True)

    async with opened(path) as backend:
        await asyncio.gather(*(one(task) for task in range(int(tasks))))


async def append_turns(path: str, tasks: str, name: str) -> None:
    """Append turns of two messages until killed, a session a task, and tell of each that is stored."""

    async def one(task: int) -> None:
        for number in itertools.count():
            text = f"{name}/{task}/{number}"
            await backend.commit(commit(f"s{task}", f"{text}?".encode(), f"{text}!".encode()))
            os.write(1, f"s{task} {text}\n".encode())

    async with opened(path) as backend:
        await asyncio.gather(*(one(task) for task in range(int(tasks))))


async def count_under_turns(path: str, session_id: str, count: str) -> None:
    """Take turns, and print their fences."""
    async with opened(path) as backend:
        request = LeaseRequest("turn", session_id, owner=str(os.getpid()), ttl_ms=5_000)
        taken = 0
        while taken < int(count):
            answer = await backend.acquire(request)
            if isinstance(answer, LeaseGrant):
                print(answer.fence, flush=True)
                assert await backend.release(request, answer.fence)
                taken += 1
            await asyncio.sleep(0.002)


def lock(path: str, seconds: str) -> None:
    """Hold the write lock."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    print("locked", flush=True)
    time.sleep(float(seconds))
    connection.execute("COMMIT")
    connection.close()


async def fill(path: str) -> None:
    """Run out of room, lose nothing, and go on when there is room again."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with opened(path) as backend:
        resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, unlimited[1]))

        # What fits goes in, in the same batch with what does not.
        small = [commit(f"small-{number}", b"y") for number in range(4)]
        large = commit("s", b"z" * 1_000_000)
        results = await asyncio.gather(
            *(backend.commit(each) for each in (*small[:2], large, *small[2:])), return_exceptions=True
        )

        stored = 0
        with suppress(CapacityError):
            while True:
                await backend.commit(commit("s", b"x" * 20_000))
                stored += 1
        assert stored > 5
        assert await payloads(backend, "s") == [b"x" * 20_000] * stored

        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        result = await backend.commit(commit("s", b"z" * 1_000_000))
        assert result.outcome.sequences == (stored + 1,)
        page = await backend.list(ListQuery())
        assert len(page.records) == 5
    print([type(each).__name__ for each in results], results[2])


async def read_only(path: str) -> None:
    """Open a file as someone who may not write it."""
    backend = backend_on(path)
    if os.geteuid() == 0:
        os.setresuid(65534, 65534, 65534)
    try:
        await backend.open()
    except AccessDeniedError as error:
        print(error)
    await backend.close()


async def fork(path: str) -> None:
    """Use a store in a child."""
    async with opened(path) as backend:
        child = os.fork()
        if child == 0:
            try:
                backend.ping().send(None)
            except WrongLoopError as error:
                print(error, flush=True)
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        await backend.ping()


if __name__ == "__main__":
    done = globals()[sys.argv[1]](*sys.argv[2:])
    if done is not None:
        asyncio.run(done)
