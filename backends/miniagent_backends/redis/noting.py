"""Telling listings, counts, sweeps and watchers what becomes of sessions, at most once a second each."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from miniagent_backends.redis.keys import Keys, bucket_of
from miniagent_backends.redis.places import (
    Facts,
    facts_of,
    facts_without_filters,
    filter_commands,
    known_commands,
    place_command,
)
from miniagent_backends.redis.routing.executor import Executor, call
from miniagent_backends.redis.schema import record_of
from miniagent_backends.redis.wire.connection import Command
from miniagent_backends.redis.wire.node import FAREWELL
from miniagent_store.backend import Record
from miniagent_store.errors import StoreError

# A session's first change is told at once, what comes within this time is told at its end.
WINDOW_SECONDS = 1.0
# Where more sessions change than this in a tenth of a second, the first changes of the others are told at
# the end of their windows as well: what tells of an append takes longer than the append.
MOST_AT_ONCE, BREATH_SECONDS = 32, 0.1
# Windows that end together are told of in parts, this long after each other, so that no commit waits behind
# all of them; the parts are large enough to be done in a fifth of a window.
PART_SECONDS, MOST_PARTS = 0.01, 20


@dataclass(slots=True)
class _Held:
    """What is held back: the latest record, and whether any of its changes is one for watchers."""

    record: Record
    changed: bool


class Notes:
    """Sends places without waiting, held back where they come too often; nothing is lost on close."""

    def __init__(self, executor: Executor, keys: Keys) -> None:
        self._executor, self._keys = executor, keys
        self._windows: dict[str, _Held | None] = {}
        self._ends: deque[tuple[float, str]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._breath_at, self._at_once = 0.0, 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def close(self) -> None:
        """Send what is held back, and wait a little for what is under way; may be called twice."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self.settle()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def note(self, record: Record, *, created: bool = False, changed: bool = True) -> None:
        """Tell what a session is now.

        Args:
            record: what it is.
            created: it was just made.
            changed: tell who watches a user or the store as well.
        """
        session_id = record.session_id
        if created or session_id not in self._windows:
            if created or self._has_room():
                self._send(record, changed=changed, created=created)
                self._begin(session_id)
            else:
                self._begin(session_id)
                self._windows[session_id] = _Held(record, changed)
        elif changed:
            self._windows[session_id] = _Held(record, True)
        else:
            held = self._windows[session_id]
            self._windows[session_id] = _Held(record, held is not None and held.changed)

    def gone(self, record: Record, *, changed: bool = True) -> None:
        """Tell that a session was deleted, or that it was not made after all."""
        held = self._windows.get(record.session_id)
        # What was refused says nothing of the session that is there.
        if held is not None and held.record.incarnation == record.incarnation:
            self._windows[record.session_id] = None
        facts = Facts.of(record)
        indexes = [self._keys.index(record.kind, name) for name in facts.filters()]
        self._executor.notify(
            place_command(self._keys, "gone", record.session_id, record.kind, facts, change=changed),
            # Not where it has been made again meanwhile, with a later activity.
            *(call("forget", [index], record.session_id, facts.active_ms) for index in indexes),
        )
        self._begin_task(self._forget_owners(record.kind, facts))

    async def _forget_owners(self, kind: str, facts: Facts) -> None:
        await self._executor.settle()
        await self.forget_empty(kind, [facts])

    def misplaced(self, draft: Record) -> None:
        """Tell that a session was not made as `draft`, since it was there, maybe with another user."""
        self._begin_task(self._withdraw(draft))

    def tags_refused(self, session_id: str, tags: tuple[str, ...]) -> None:
        """Tell that a session was not given new tags after all."""
        self._begin_task(self._withdraw_tags(session_id, tags))

    async def _withdraw_tags(self, session_id: str, tags: tuple[str, ...]) -> None:
        row = await self._executor.script("look", [self._keys.record(session_id)])
        if row:
            await self._withdraw(replace(record_of(session_id, *row), tags=tags))

    async def _withdraw(self, draft: Record) -> None:
        keys, kind, facts = self._keys, draft.kind, Facts.of(draft)
        places = keys.bucket(kind, bucket_of(draft.session_id))["places"]
        standing = facts_of(await self._executor.execute("HGET", places, draft.session_id))
        if standing is not None and not standing.incarnation:
            # It was there, and has another kind: this place is of none.
            row = await self._executor.script("look", [keys.record(draft.session_id)])
            if row and record_of(draft.session_id, *row).kind != kind:
                await self._executor.run(place_command(keys, "gone", draft.session_id, kind, facts))
                standing = facts_without_filters(facts)
        own = set(facts.filters())
        for name in own - set(standing.filters() if standing else own):
            await self._executor.run(
                call("forget", [keys.index(kind, name)], draft.session_id, facts.active_ms)
            )
        await self.forget_empty(kind, [facts])

    def flush(self) -> None:
        """Send what is held back, now; what is asked for afterwards sees it."""
        for session_id, held in self._windows.items():
            if held is not None:
                self._windows[session_id] = None
                self._send(held.record, changed=held.changed)

    async def settle(self) -> None:
        """As `flush`, and wait until all that was told before has come to its end."""
        self.flush()
        await self._executor.settle()
        if self._tasks:
            await asyncio.wait([*self._tasks])

    async def forget_empty(self, kind: str, facts: Sequence[Facts]) -> None:
        """Forget users and agents of sessions that are gone, if these were their last."""
        keys = self._keys
        owners: dict[str, Command] = {}
        for each in facts:
            if each.user_id is not None:
                index = keys.index(kind, f"user:{each.user_id}")
                owners[index] = (keys.users(kind, each.user_id), each.user_id)
            if each.agent is not None:
                owners[keys.index(kind, f"agent:{each.agent}")] = (keys.agents(kind), each.agent)
        empty = await self._which(owners, there=False)
        await self._executor.run(*(("SREM", *owners[index]) for index in empty))
        # One that came meanwhile was in its index before it was made known.
        again = await self._which(empty, there=True)
        await self._executor.run(*(("SADD", *owners[index]) for index in again))

    async def _which(self, indexes: Sequence[str] | dict[str, Any], *, there: bool) -> list[str]:
        replies = await self._executor.run(*(("EXISTS", index) for index in indexes))
        return [index for index, reply in zip(indexes, replies, strict=True) if bool(reply) is there]

    # Sending

    def _send(self, record: Record, *, changed: bool, created: bool = False) -> None:
        facts = Facts.of(record)
        command = place_command(
            self._keys,
            "put" if created else "note",
            record.session_id,
            record.kind,
            facts,
            change=changed,
        )
        self._executor.notify(command, then=partial(self._noted, record, changed))
        filters = list(filter_commands(self._keys, record.session_id, record.kind, facts, new=False))
        if filters:
            self._executor.notify(*filters)

    def _noted(self, record: Record, changed: bool, reply: Any) -> None:
        if reply == 0:
            self._begin_task(self._place_again(record, changed))
        elif len(reply) > 1:
            self._begin_task(self._forget_tags(record, [tag.decode() for tag in reply[1:]]))

    async def _place_again(self, record: Record, changed: bool) -> None:
        """A session that has no place: it was lost, if the session is there; else this came too late."""
        keys, session_id, facts = self._keys, record.session_id, Facts.of(record)
        row = await self._executor.script("look", [keys.record(session_id)])
        if row:
            there = record_of(session_id, *row)
            facts = Facts.of(there)
            await self._executor.run(
                place_command(keys, "fix", session_id, there.kind, facts, change=changed),
                *filter_commands(keys, session_id, there.kind, facts, new=False),
                *known_commands(keys, there.kind, facts),
            )
            return
        indexes = [keys.index(record.kind, name) for name in facts.filters()]
        await self._executor.run(
            *(call("forget", [index], session_id, facts.active_ms) for index in indexes)
        )
        await self.forget_empty(record.kind, [facts])

    async def _forget_tags(self, record: Record, tags: Sequence[str]) -> None:
        indexes = [self._keys.index(record.kind, f"tag:{tag}") for tag in tags]
        await self._executor.run(*(("ZREM", index, record.session_id) for index in indexes))

    # Windows and tasks

    def _has_room(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._breath_at > BREATH_SECONDS:
            self._breath_at, self._at_once = now, 0
        self._at_once += 1
        return self._at_once <= MOST_AT_ONCE

    def _begin(self, session_id: str) -> None:
        if session_id not in self._windows:
            self._ends.append((asyncio.get_running_loop().time() + WINDOW_SECONDS, session_id))
            self._wait_for_end()
        self._windows[session_id] = None

    def _wait_for_end(self) -> None:
        if self._timer is None and self._ends and not self._closed:
            self._timer = asyncio.get_running_loop().call_at(self._ends[0][0], self._end_windows)

    def _end_windows(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now, most = loop.time(), max(MOST_AT_ONCE, len(self._windows) // MOST_PARTS)
        while self._ends and self._ends[0][0] <= now:
            if not most:
                self._timer = loop.call_at(now + PART_SECONDS, self._end_windows)
                return
            _, session_id = self._ends.popleft()
            held = self._windows.pop(session_id)
            if held is not None:
                most -= 1
                self._send(held.record, changed=held.changed)
                self._begin(session_id)
        self._wait_for_end()

    def _begin_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        with contextlib.suppress(StoreError):  # put right by the next note, or when all is reconciled
            await work
