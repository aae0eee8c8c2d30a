"""Putting right what listings, counts and sweeps go by, from the records themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from miniagent_backends.redis.keys import BUCKETS, Keys, bucket_of, escape_glob
from miniagent_backends.redis.noting import Notes
from miniagent_backends.redis.places import (
    Facts,
    facts_of,
    filter_commands,
    index_of,
    known_commands,
    place_command,
)
from miniagent_backends.redis.refusals import understanding
from miniagent_backends.redis.routing.executor import Executor, call
from miniagent_backends.redis.schema import pack, pairs_of, record_of
from miniagent_store.backend import Record
from miniagent_store.errors import ConfigurationError

CHUNK = 200
# A session that is being made has its place so long before it is there, at the most.
MAKING_MS = 60_000


class Reconciling:
    """A walk over all records, then one over all that is kept beside them.

    Args:
        executor: brings commands to where their keys are.
        keys: names of keys.
        notes: which forget users and agents.
        dry_run: only count what is wrong.
    """

    def __init__(self, executor: Executor, keys: Keys, notes: Notes, *, dry_run: bool = False) -> None:
        self._executor, self._keys, self._notes = executor, keys, notes
        self._dry_run = dry_run

    async def run(self, progress: Callable[[int], None] | None) -> int:
        """See `Backend.reconcile`."""
        looked_at = mended = 0
        start = f"{self._keys.start}{self._keys.session}"
        async for names in self._scan(start):
            mended += await self.mend([name.removeprefix(start) for name in names])
            looked_at += len(names)
            if progress is not None:
                progress(looked_at)
        return mended + await self.drop_leftovers()

    async def drop_leftovers(self) -> int:
        """Drop what stands in listings and counts without a session; how many were wrong."""
        mended = 0
        kinds = {kind.decode() for kind in await self._executor.execute("SMEMBERS", self._keys.kinds())}
        for kind in sorted({"session", *kinds}):
            for bucket in range(BUCKETS):
                mended += await self._drop_orphans(kind, bucket)
            for name in ("user:", "agent:", "tag:"):
                async for indexes in self._scan(self._keys.index(kind, name)):
                    for index in indexes:
                        mended += await self._drop_strangers(kind, index)
            if not self._dry_run:
                await self._forget_owners(kind)
        return mended

    async def _scan(self, start: str) -> AsyncIterator[Sequence[str]]:
        cursor: str | None = None
        while True:
            found, cursor = await self._executor.scan(cursor, f"{escape_glob(start)}*", CHUNK)
            # A name that is no text is not ours.
            names = [name.decode(errors="replace") for name in found]
            if names:
                yield names
            if cursor is None:
                return

    async def _members(self, index: str) -> AsyncIterator[Sequence[tuple[str, int]]]:
        position = "0"
        while True:
            next_position, found = await self._executor.execute("ZSCAN", index, position, "COUNT", CHUNK)
            members = [(member.decode(), score) for member, score in pairs_of(found)]
            if members:
                yield members
            position = str(int(next_position))
            if position == "0":
                return

    async def live(self, session_ids: Sequence[str]) -> list[Record | None]:
        """The records that stand.

        Raises:
            SessionDamagedError: one of them cannot be read.
        """
        found: list[Record | None] = []
        for session_id, row in zip(session_ids, await self._rows(session_ids), strict=True):
            with understanding(session_id, "the record"):
                found.append(record_of(session_id, *row) if row else None)
        return found

    async def _rows(self, session_ids: Sequence[str]) -> list[list[Any]]:
        """What records are made of; nothing where there is none."""
        try:
            return await self._executor.run(
                *(call("look", [self._keys.record(session_id)]) for session_id in session_ids)
            )
        except ConfigurationError:
            # Something else stands under the name of a record.
            if len(session_ids) == 1:
                return [[]]
            return [(await self._rows([each]))[0] for each in session_ids]

    # Records that have no place, or a wrong one

    async def misplaced(self, session_ids: Sequence[str]) -> list[str]:
        """Those whose places, or those of their user, agent and tags, are not what the records say."""
        placed = await self._placed(session_ids)
        wrong = await asyncio.gather(*(self._is_misplaced(*each) for each in placed))
        return [record.session_id for (_, record), is_wrong in zip(placed, wrong, strict=True) if is_wrong]

    async def _is_misplaced(self, place: bytes, record: Record) -> bool:
        keys, kind, facts = self._keys, record.kind, Facts.of(record)
        check = place_command(keys, "check", record.session_id, kind, facts, seen=place)
        known = [("SISMEMBER", *rest) for _, *rest in known_commands(keys, kind, facts)]
        listed = [("ZSCORE", keys.index(kind, name), record.session_id) for name in facts.filters()]
        is_wrong, *others = await self._executor.run(check, *known, *listed)
        return bool(is_wrong) or any(each in (0, None) for each in others)

    async def mend(self, session_ids: Sequence[str]) -> int:
        """Give sessions the places that their records say; of how many they were wrong."""
        mended = 0
        for place, record in await self._placed(session_ids):
            keys, facts = self._keys, Facts.of(record)
            placed, *others = await self._executor.run(
                place_command(keys, "mend", record.session_id, record.kind, facts, seen=place),
                *filter_commands(keys, record.session_id, record.kind, facts, new=True),
            )
            mended += bool(placed) or any(others)
        return mended

    async def _placed(self, session_ids: Sequence[str]) -> list[tuple[bytes, Record]]:
        """The sessions that are there, each with its place before."""
        records = [record for record in await self.live(session_ids) if record is not None]
        places = await self._places([(each.kind, each.session_id) for each in records])
        # Read again after its place: one that was changed since is left alone.
        again = await self.live([each.session_id for each in records])
        return [(place, record) for place, record in zip(places, again, strict=True) if record is not None]

    async def _places(self, sessions: Sequence[tuple[str, str]]) -> list[bytes]:
        rows = await self._executor.run(
            *(
                ("HGET", self._keys.bucket(kind, bucket_of(session_id))["places"], session_id)
                for kind, session_id in sessions
            )
        )
        return [row or b"" for row in rows]

    # Places that have no record

    async def _drop_orphans(self, kind: str, bucket: int) -> int:
        names, index = self._keys.bucket(kind, bucket), index_of(self._keys, kind, bucket)
        dropped = 0
        async for members in self._members(index):
            ids = [session_id for session_id, _ in members]
            gone = [each for each, row in zip(ids, await self._rows(ids), strict=True) if not row]
            # What has a time to expire is left to the sweep, which tells of it.
            scores = await self._executor.run(*(("ZSCORE", names["expiry"], each) for each in gone))
            lost = [each for each, score in zip(gone, scores, strict=True) if score is None]
            for session_id, place in zip(
                lost, await self._places([(kind, each) for each in lost]), strict=True
            ):
                dropped += await self._drop(kind, session_id, facts_of(place))
        write = "" if self._dry_run else "1"
        return dropped + int(await self._executor.script("recount", [index], pack(names), write))

    async def _drop(self, kind: str, session_id: str, facts: Facts | None) -> bool:
        if facts is None:
            facts = Facts(0, "", None, None, (), 0, 0, 0, 0)
        elif not facts.incarnation and facts.active_ms > self._executor.now_ms() - MAKING_MS:
            return False
        if self._dry_run:
            return True
        await self._executor.run(
            place_command(self._keys, "gone", session_id, kind, facts),
            *(
                call("forget", [self._keys.index(kind, name)], session_id, facts.active_ms)
                for name in facts.filters()
            ),
        )
        await self._notes.forget_empty(kind, [facts])
        return True

    async def _drop_strangers(self, kind: str, index: str) -> int:
        """Members of a user's, agent's or tag's index that do not belong there."""
        name = index.removeprefix(self._keys.index(kind, ""))
        dropped = 0
        async for members in self._members(index):
            # Each session that is there, or has yet to be swept, has a place that says so.
            places = await self._places([(kind, session_id) for session_id, _ in members])
            for (session_id, score), place in zip(members, places, strict=True):
                facts = facts_of(place)
                if facts is None or name not in facts.filters():
                    if not self._dry_run:
                        await self._executor.script("forget", [index], session_id, score)
                    dropped += 1
        return dropped

    async def _forget_owners(self, kind: str) -> None:
        for bucket in range(BUCKETS):
            users = await self._executor.execute("SMEMBERS", self._keys.users_bucket(kind, bucket))
            await self._forget(kind, [_owned_by(user=user.decode()) for user in users])
        agents = await self._executor.execute("SMEMBERS", self._keys.agents(kind))
        await self._forget(kind, [_owned_by(agent=agent.decode()) for agent in agents])

    async def _forget(self, kind: str, facts: Sequence[Facts]) -> None:
        for at in range(0, len(facts), CHUNK):
            await self._notes.forget_empty(kind, facts[at : at + CHUNK])


def _owned_by(*, user: str | None = None, agent: str | None = None) -> Facts:
    return Facts(0, "", user, agent, (), 0, 0, 0, 0)
