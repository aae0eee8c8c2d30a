"""Backends on files, and commits made of as little as a test has to say."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from miniagent_backends.sqlite import sessions
from miniagent_backends.sqlite.backend import SqliteBackend
from miniagent_backends.sqlite.transaction import Transaction
from miniagent_store.backend import (
    Append,
    BackendOptions,
    Commit,
    CommitIdentity,
    CommitResult,
    Create,
    LogRange,
    NewEntry,
    ReadPlan,
    StoredEntry,
)
from miniagent_store.url import StoreURL

CREATE = Create(keep_existing=True)
_counter = itertools.count(1)
_WRITER = os.urandom(8).hex()


def backend_on(
    path: Path | str, namespace: str = "", deadline: float = 10.0, **extra: Any
) -> SqliteBackend:
    """A backend on a file, not opened."""
    options = BackendOptions(namespace=namespace, deadline=deadline, extra=extra)
    return SqliteBackend.from_url(StoreURL.parse(f"sqlite:///{path}"), options)


@asynccontextmanager
async def opened(path: Path | str, **options: Any) -> AsyncIterator[SqliteBackend]:
    """A backend on a file, open."""
    backend = backend_on(path, **options)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


def identity() -> CommitIdentity:
    """A new one of this process's writer."""
    return CommitIdentity(_WRITER, next(_counter), now_ms() + 20_000)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def entry(payload: bytes, caller_id: str | None = None) -> NewEntry:
    return NewEntry(os.urandom(12), now_ms(), payload, caller_id, payload if caller_id else None)


def commit(session_id: str, *payloads: bytes, log: str = "messages", **fields: Any) -> Commit:
    """One that appends `payloads`, making the session if it is missing."""
    fields.setdefault("create", CREATE)
    fields.setdefault("identity", identity())
    if payloads:
        fields["changes"] = (Append(log, tuple(map(entry, payloads))),)
    return Commit(session_id, time_ms=now_ms(), **fields)


async def payloads(backend: SqliteBackend, session_id: str, log: str = "messages") -> list[bytes]:
    """What a log holds."""
    result = await backend.read(ReadPlan(session_id, ranges=(LogRange(log),)))
    return [each.payload for each in result.entries[0]] if result.record else []


def stored(first: int, texts: Sequence[bytes]) -> tuple[StoredEntry, ...]:
    """Entries to stage, from sequence `first` on."""
    return tuple(
        StoredEntry(seq, 1, os.urandom(12), now_ms(), text) for seq, text in enumerate(texts, first)
    )


class SlowCommit:
    """A commit that waits in its transaction until it is let go."""

    def __init__(self, backend: SqliteBackend, payload: bytes) -> None:
        self._begun, self._go = threading.Event(), threading.Event()
        self._commit = commit("s", payload)
        self.task = asyncio.ensure_future(backend._write(self._work, "s", self._commit.identity))

    def _work(self, transaction: Transaction) -> CommitResult:
        self._begun.set()
        assert self._go.wait(10)
        return sessions.commit(transaction, self._commit)

    async def begun(self) -> None:
        while not self._begun.is_set():
            await asyncio.sleep(0.001)

    def let_go(self) -> None:
        self._go.set()


def start(what: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a function of ``sqlite_process.py`` in another process."""
    script = Path(__file__).with_name("sqlite_process.py")
    command = [sys.executable, str(script), what, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output_of(process: subprocess.Popen[str]) -> str:
    """What a process printed, once it has ended well."""
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output
