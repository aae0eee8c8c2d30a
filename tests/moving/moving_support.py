"""What tests of moving share: stores full of sessions, their contents, writers, killed commands."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.moving.lines import content_digest
from miniagent_store.moving.plain_values import PlainValues
from miniagent_store.moving.walking import AT_ONCE, Seen, in_order, session_ids
from miniagent_store.moving.whole import WholeSession, core_of, read_whole


async def fill(store: SessionStore, sessions: int, messages: int = 20, *, prefix: str = "s") -> None:
    """Sessions of as many messages, and a value each."""

    async def one(number: int) -> None:
        async with store.batch(f"{prefix}{number}", create=True) as batch:
            batch.append(*(Message.user(f"message {seq} of {number}") for seq in range(messages)))
            batch.state.set("plan", {"number": number})

    for start in range(0, sessions, 64):
        await asyncio.gather(*(one(number) for number in range(start, min(start + 64, sessions))))


async def one_of_everything(store: SessionStore) -> None:
    """A session with all parts that one can have, collections, and sessions of few parts."""
    await store.create(
        "full",
        user_id="ada",
        agent="helper",
        tags={"team": "blue"},
        metadata={"raw": b"\0", "set": {1, 2}},
        ttl="2h",
    )
    await store.append(
        "full", Message.user("one", id="m1"), Message.user("two"), Message.assistant("three")
    )
    await store.append("full", {"type": "call", "at": (1, 2)}, log="events")
    await store.append("full", {"x": 1.5}, {"x": None}, log="other")
    await store.redact("full", 2, reason="a secret")
    await store.trim("full", before=2)
    await store.state("full").set("plan", ["é", {"$t": "mine"}])
    await store.state("full").set("soon", 1, ttl="1h")
    await store.state("full").add("count", 41)
    await store.create("empty", ttl="never")
    await store.create("cleared")
    await store.append("cleared", Message.user("gone"))
    await store.clear("cleared")
    await store.kv("things").set("key", {"value": 1})
    await store.user("ada").set("theme", "dark")


@dataclass(frozen=True)
class Contents:
    """What a store holds, whatever the order; two that are equal hold the same to the last entry."""

    sessions: int
    entries: int
    digest: int


async def contents_of(store: SessionStore) -> Contents:
    """What a store holds, decoded with its own keys."""
    core = core_of(store)
    await store.open()
    values, now_ms = PlainValues(core), core.backend.now_ms()
    sessions = entries = digest = 0
    with Seen() as seen:
        async for page in session_ids(core):
            ids = [each for each in page if seen.add(each)]
            for start in range(0, len(ids), AT_ONCE):
                for each in await in_order(
                    [read_whole(core, each) for each in ids[start : start + AT_ONCE]]
                ):
                    if each is not None:
                        sessions, entries = sessions + 1, entries + each.entry_count
                        digest ^= int.from_bytes(content_digest(values.opened(each), now_ms))
    return Contents(sessions, entries, digest)


async def contents_at(url: str) -> Contents:
    async with open_store(url) as store:
        return await contents_of(store)


async def whole(store: SessionStore, session_id: str) -> WholeSession:
    found = await read_whole(core_of(store), session_id)
    assert found is not None
    return found


class Writers:
    """Tasks that append to sessions, old and new, until they are stopped.

    Attributes:
        written: by session, the messages that were acknowledged.
    """

    def __init__(self, url: str, tasks: int = 4) -> None:
        self._url, self._tasks = url, tasks
        self.written: dict[str, list[str]] = {}
        self._stopped = asyncio.Event()

    async def __aenter__(self) -> Writers:
        self._running = [asyncio.create_task(self._write(number)) for number in range(self._tasks)]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        self._stopped.set()
        await asyncio.gather(*self._running)

    async def _write(self, writer: int) -> None:
        async with open_store(self._url) as store:
            turn = 0
            while not self._stopped.is_set():
                turn += 1
                session_id = f"live-{writer}-{turn % 7}"
                text = f"{writer} {turn}"
                if turn % 50 == 0:
                    await store.delete(session_id)
                    self.written[session_id] = []
                else:
                    await store.append(session_id, Message.user(text), create=True)
                    self.written.setdefault(session_id, []).append(text)
                await asyncio.sleep(0.005)

    async def check(self, url: str) -> None:
        """All that was acknowledged stands in the store at `url`, once and in order."""
        async with open_store(url) as store:
            for session_id, texts in self.written.items():
                if texts:
                    assert [each.content for each in await store.history(session_id)] == texts
                else:
                    assert session_id not in {each.id for each in await store.list(limit=1000)}


@dataclass
class Ran:
    """A command in a process of its own, as it ended."""

    code: int
    stdout: str
    stderr: str
    peak_mib: float
    seconds: float


def command(*arguments: str, data_home: Path, kill_when: Callable[[], bool] | None = None) -> Ran:
    """Run a command; with `kill_when`, SIGKILL it as soon as that is so."""
    environment = {**os.environ, "XDG_DATA_HOME": str(data_home)}
    environment.pop("MINIAGENT_STORE_URL", None)
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "miniagent_store", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _resident_mib(process.pid))
        if kill_when is not None and kill_when():
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.02)
    stdout, stderr = process.communicate(timeout=60)
    return Ran(process.returncode, stdout, stderr, peak, time.monotonic() - started)


async def command_beside(
    *arguments: str, data_home: Path, kill_when: Callable[[], bool] | None = None
) -> Ran:
    """`command`, while the event loop goes on."""
    return await asyncio.to_thread(command, *arguments, data_home=data_home, kill_when=kill_when)


def _resident_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(fields.get("VmHWM", "0 kB").split()[0]) / 1024
