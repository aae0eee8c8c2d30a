"""What a crash or an eviction left: a walk over sessions, one over parts, one over what listings go by."""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from miniagent_backends.redis.keys import Keys, escape_glob
from miniagent_backends.redis.noting import WINDOW_SECONDS, Notes
from miniagent_backends.redis.reconciling import CHUNK, Reconciling
from miniagent_backends.redis.refusals import understanding
from miniagent_backends.redis.routing.executor import Executor
from miniagent_backends.redis.schema import pack, record_of, row_of
from miniagent_backends.redis.wire.connection import Arg
from miniagent_store.backend import KEPT_EPOCHS
from miniagent_store.errors import BackendUnavailableError, ConfigurationError, SessionDamagedError
from miniagent_store.repair_report import Damage, RepairReport

# Who changes a session tells of it within a window; what is wrong for longer than this is wrong.
LAG_SECONDS = WINDOW_SECONDS + 0.5
# Parts may be kept so much longer than their session, for a sweep of somebody who archives.
LONGEST_GRACE_MS = 7 * 86_400_000
# What a copy that was cut short has left is kept so long, in case it goes on after all.
STAGE_MS = 3_600_000
# How often a session is looked at that changes meanwhile.
MOST_LOOKS = 5
# How long a slot may take to another node.
PATIENCE_SECONDS = 10.0


class Repairing:
    """One repair; see `Backend.repair`.

    Args:
        executor: brings commands to where their keys are.
        keys: names of keys.
        notes: which forget users and agents.
        grace_ms: how much longer than its session what it holds is kept.
        report: takes what is found.
        salvage, dry_run: see `Backend.repair`.
    """

    def __init__(
        self,
        executor: Executor,
        keys: Keys,
        notes: Notes,
        grace_ms: int,
        report: RepairReport,
        *,
        salvage: bool,
        dry_run: bool,
    ) -> None:
        self._executor, self._keys, self._notes, self._grace_ms = executor, keys, notes, grace_ms
        self._report, self._salvage, self._dry_run = report, salvage, dry_run
        self._looking = Reconciling(executor, keys, notes, dry_run=True)
        self._mending = Reconciling(executor, keys, notes)

    async def run(self, progress: Callable[[int], None] | None) -> None:
        """Look, and mend."""
        start = f"{self._keys.start}{self._keys.session}"
        suspects: deque[tuple[float, list[str]]] = deque()
        async for names in self._scan(f"{escape_glob(start)}*"):
            ids = [name.removeprefix(start) for name in names]
            whole = await asyncio.gather(*map(self._mend_parts, ids))
            readable = [session_id for session_id, is_whole in zip(ids, whole, strict=True) if is_whole]
            wrong = await self._looking.misplaced(readable)
            if wrong:
                suspects.append((self._now(), wrong))
            while suspects and suspects[0][0] + LAG_SECONDS <= self._now():
                await self._mend_places(suspects.popleft()[1])
            self._report.sessions += len(ids)
            if progress is not None:
                progress(self._report.sessions)
        for at, wrong in suspects:
            await asyncio.sleep(at + LAG_SECONDS - self._now())
            await self._mend_places(wrong)
        await self._leftovers()
        await self._parts()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _scan(self, pattern: str) -> AsyncIterator[Sequence[str]]:
        cursor: str | None = None
        while True:
            found, cursor = await self._executor.scan(cursor, pattern, CHUNK)
            if found:
                yield [name.decode(errors="replace") for name in found]
            if cursor is None:
                return

    # The parts of a session

    async def _mend_parts(self, session_id: str) -> bool:
        """Look at a session's parts, and mend them; whether its record can be read."""
        try:
            with understanding(session_id, "the record"):
                reply = await self._look_at_parts(session_id)
        except (SessionDamagedError, ConfigurationError) as error:
            part = error.part if isinstance(error, SessionDamagedError) else "the record"
            problem = error.problem if isinstance(error, SessionDamagedError) else "is something else"
            self._report.add(Damage("lost", session_id, f"{part} {problem}"))
            return False
        if not reply:
            return False
        _, row, *found = reply
        for sort, part, problem, mended in found:
            what = f"{part.decode(errors='replace')} {problem.decode()}"
            self._report.add(Damage(sort.decode(), session_id, what, bool(mended)))
        if row:
            self._notes.note(record_of(session_id, *row))
            await self._notes.settle()
        return True

    async def _look_at_parts(self, session_id: str) -> list[Any]:
        """What repair.lua says of a session."""
        record_key, parts = self._keys.record(session_id), self._keys.parts(session_id)
        asked: dict[str, Any] = {
            "keys": parts,
            "grace": self._grace_ms,
            "longest": LONGEST_GRACE_MS,
            "mend": not self._dry_run,
            "salvage": self._salvage,
            "token": os.urandom(24),
            "epochs": KEPT_EPOCHS,
        }
        for _ in range(MOST_LOOKS):
            looked = await self._executor.script("look", [record_key])
            named: list[str] = []
            if looked:
                record, row = record_of(session_id, *looked), row_of(looked[1])
                # All that must be there: so a node that their slot is on its way to or from does not take
                # them for lost.
                named = self._named(row, parts)
                asked["version"] = record.version
            reply: list[Any] = await self._patiently("repair", [record_key, *named], pack(asked))
            if not reply or reply[0] == b"OK":
                return reply
            if reply[0] == b"DAMAGED":
                raise SessionDamagedError(session_id, part=reply[1].decode(), problem=reply[2].decode())
        # Commits look at all parts themselves: what is changed again and again lacks none.
        return [b"OK", []]

    def _named(self, row: dict[bytes, Any], parts: dict[str, str]) -> list[str]:
        logs = row[b"logs"]
        names = [self._keys.log(parts, logs[at].decode()) for at in range(0, len(logs), 3) if logs[at + 2]]
        for part, count in (
            ("state", "values"),
            ("names", "values"),
            ("count", "counters"),
            ("ids", "ids"),
        ):
            if row[count.encode()]:
                names.append(parts[part])
        return names

    async def _patiently(self, script: str, keys: Sequence[str], argument: Arg) -> Any:
        """A script on keys of which some may be on their way to another node."""
        until = self._now() + PATIENCE_SECONDS
        while True:
            try:
                return await self._executor.script(script, keys, argument)
            except BackendUnavailableError:
                if self._now() > until:
                    raise
            await asyncio.sleep(0.1)

    # What listings, counts and sweeps go by

    async def _mend_places(self, session_ids: list[str]) -> None:
        wrong = await self._looking.misplaced(session_ids)
        if wrong and not self._dry_run:
            await self._mending.mend(wrong)
        what = "its place in listings, counts or sweeps is missing or wrong"
        for session_id in wrong:
            self._report.add(Damage("index", session_id, what, not self._dry_run))

    async def _leftovers(self) -> None:
        if not await self._looking.drop_leftovers():
            return
        await asyncio.sleep(LAG_SECONDS)
        wrong = await self._looking.drop_leftovers()
        if wrong and not self._dry_run:
            await self._mending.drop_leftovers()
        what = "listings hold sessions that are not there, or sums are wrong"
        self._report.add(Damage("index", "listings", what, not self._dry_run), wrong)

    # Parts of nothing

    async def _parts(self) -> None:
        start = f"{self._keys.start}{self._keys.session}"
        if "}" in start:
            return  # such parts do not say whose they are
        part = re.compile(
            rf"{re.escape(self._keys.start)}(.*){{{re.escape(start)}([^}}]+)}}(.*)", re.DOTALL
        )
        own = {self._keys.thread, "events:", "log:", "state:", "names:", "count:", "ids:", "index:"}
        async for names in self._scan(f"*{{{escape_glob(start)}*"):
            owners: dict[str, list[str]] = {}
            stages: list[str] = []
            for name in names:
                match = part.fullmatch(name)
                if match is not None and match[1] in own:
                    owners.setdefault(match[2], []).append(name)
                elif match is not None and match[1] == "stage:":
                    stages.append(name)
            await self._orphans(owners)
            await self._stages(stages)

    async def _orphans(self, owners: dict[str, list[str]]) -> None:
        record = {session_id: self._keys.record(session_id) for session_id in owners}
        there = await self._executor.run(*(("EXISTS", record[session_id]) for session_id in owners))
        gone = [session_id for session_id, is_there in zip(owners, there, strict=True) if not is_there]
        remove = "" if self._dry_run else "1"
        replies = await asyncio.gather(
            *(self._patiently("orphan", [record[each], *owners[each]], remove) for each in gone)
        )
        for session_id, count in zip(gone, replies, strict=True):
            sorts = sorted(
                {name.partition("{")[0].removeprefix(self._keys.start) for name in owners[session_id]}
            )
            what = f"{' '.join(sorts)} is there, and no session"
            self._report.add(Damage("orphan", session_id, what, not self._dry_run), count)

    async def _stages(self, names: list[str]) -> None:
        """Those that would stay for ever: whoever wrote them died before they were given their time."""
        ends = await self._executor.run(*(("PEXPIRETIME", name) for name in names))
        forever = [name for name, end in zip(names, ends, strict=True) if end == -1]
        if not self._dry_run:
            await self._executor.run(*(("PEXPIRE", name, STAGE_MS, "NX") for name in forever))
        for name in forever:
            what = "a copy that was cut short left it, and it would stay"
            self._report.add(Damage("stage", name, what, not self._dry_run))
