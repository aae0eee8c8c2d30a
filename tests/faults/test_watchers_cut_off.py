"""Fault 20: who watches is cut off, or hears nothing more, misses nothing and is told nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid

import pytest

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.testing.conformance import eventually
from miniagent_store.testing.oracle import Report
from miniagent_store.testing.proxy import Action
from tests.faults.conftest import Record
from tests.faults.deployments import Deployment, Proxied

SESSIONS, ROUNDS = 6, 5


class Watcher:
    """Watches one session, and keeps what it hears."""

    def __init__(self, store: SessionStore, session_id: str) -> None:
        self.heard: list[str] = []
        self.others: list[str] = []
        self._store, self._session_id = store, session_id

    async def run(self) -> None:
        async for event in self._store.watch(self._session_id):
            if event.type == "appended":
                self.heard += [str(entry.value["content"]) for entry in event.entries]
            else:
                self.others.append(event.type)


def cut(proxied: Proxied) -> None:
    for proxy in proxied.proxies.values():
        proxy.cut()


def swallow(proxied: Proxied) -> None:
    """What comes next on a connection or two of each server, and all after it, never arrives."""
    for proxy in proxied.proxies.values():
        proxy.inject(Action.BLACK_HOLE, on="reply", times=2)


@pytest.mark.parametrize("fault", [cut, swallow], ids=["cut", "swallowed"])
async def test_watchers_catch_up(deployment: Deployment, fault: object, record: Record) -> None:
    namespace = uuid.uuid4().hex
    names = [f"s{number}" for number in range(SESSIONS)]
    with deployment.proxied() as proxied:
        options = {"socket_timeout": "300ms", "health_check_interval": "500ms", **proxied.options}
        async with (
            open_store(deployment.url, namespace=namespace) as writing,
            open_store(proxied.url, namespace=namespace, **options) as watching,
        ):
            for name in names:
                await writing.create(name)
            watchers = [Watcher(watching, name) for name in names]
            changed: set[str] = set()

            async def watch_all() -> None:
                async for event in watching.watch():
                    changed.add(event.session_id)

            tasks = [asyncio.create_task(watcher.run()) for watcher in watchers]
            tasks.append(asyncio.create_task(watch_all()))
            said: list[list[str]] = [[] for _ in names]

            async def say(text: str) -> None:
                for at, name in enumerate(names):
                    await writing.append(name, Message.user(text))
                    said[at].append(text)

            async def all_hear() -> bool:
                return all(each.heard[-1:] == told[-1:] for each, told in zip(watchers, said, strict=True))

            while not all(watcher.heard for watcher in watchers):
                # What was said before they listened they need not hear.
                await say(f"begin {len(said[0])}")
                await asyncio.sleep(0.05)
            recovery = 0.0
            for number in range(ROUNDS):
                await say(f"{number}")
                if number % 4 == 1:
                    cut(proxied) if fault is cut else swallow(proxied)
                    began = time.monotonic()
                    await say(f"{number} at the fault")
                    for task in tasks:
                        assert not task.done()
                    await eventually(all_hear, within=30)
                    recovery = max(recovery, time.monotonic() - began)
            await eventually(all_hear, within=30)

            changed.clear()
            await say("the end")

            async def all_changed() -> bool:
                return changed >= set(names)

            await eventually(all_changed, within=30)
            await eventually(all_hear, within=30)
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    report = Report(acknowledged=sum(map(len, said)), recovery=recovery)
    for watcher, told in zip(watchers, said, strict=True):
        wanted = told[told.index(watcher.heard[0]) :]
        report.lost += len(set(wanted) - set(watcher.heard))
        report.doubled += len(watcher.heard) - len(set(watcher.heard))
        assert watcher.others == []
    what = "cut" if fault is cut else "swallowed"
    record(f"20 watchers' connections {what}", deployment.topology, report, binary=deployment.binary)
    report.check()
    for watcher, told in zip(watchers, said, strict=True):
        assert watcher.heard == told[told.index(watcher.heard[0]) :]
