"""The sweep: what has expired is claimed by one caller, and taken away when that one has told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from miniagent_backends.redis.keys import BUCKETS, Keys, bucket_of
from miniagent_backends.redis.noting import Notes
from miniagent_backends.redis.places import (
    Facts,
    facts_of,
    filter_commands,
    known_commands,
    member_of,
    on_bucket,
    place_command,
    split_member,
)
from miniagent_backends.redis.routing.executor import Executor, call
from miniagent_backends.redis.schema import pack, record_of
from miniagent_backends.redis.wire.connection import Command
from miniagent_store.backend import Expired, Record

# Sessions that are finished at once: a commit does not wait behind more.
CHUNK = 100
# How often a claim looks again, where sessions that seemed to have expired live.
MOST_LOOKS = 10


@dataclass(frozen=True, slots=True)
class _Due:
    """A member of the index by expiry whose time has come, as it was seen."""

    bucket: int
    member: str
    score: bytes
    facts: Facts | None


class Sweeping:
    """Claims and finishes what has expired; what it costs grows with that, not with what lives."""

    def __init__(self, executor: Executor, keys: Keys, notes: Notes) -> None:
        self._executor, self._keys, self._notes = executor, keys, notes

    async def claim(self, kinds: Sequence[str], limit: int, claim_ms: int) -> Sequence[Expired]:
        """See `Backend.claim_expired`."""
        claimed: list[Expired] = []
        for kind in kinds:
            for _ in range(MOST_LOOKS):
                due = await self._look(kind, limit - len(claimed))
                dead = await self._dead(kind, due)
                claimed += await self._claim(kind, dead, claim_ms)
                # Those that live after all have their right time back, and are not seen again.
                if len(dead) == len(due) or len(claimed) >= limit:
                    break
            if len(claimed) >= limit:
                break
        return claimed

    async def _look(self, kind: str, limit: int) -> list[_Due]:
        replies = await self._executor.run(
            *(on_bucket(self._keys, "claim", kind, bucket, "look", limit) for bucket in range(BUCKETS))
        )
        due = [
            _Due(bucket, reply[at].decode(), reply[at + 1], facts_of(reply[at + 2]))
            for bucket, reply in enumerate(replies)
            for at in range(0, len(reply), 3)
        ]
        return sorted(due, key=lambda each: float(each.score))[:limit]

    async def _dead(self, kind: str, due: Sequence[_Due]) -> list[_Due]:
        """Those whose session is not there any more, or has expired; the others are put right."""
        records = await self._live([split_member(each.member)[0] for each in due])
        dead: list[_Due] = []
        alive: list[Command] = []
        for each, record in zip(due, records, strict=True):
            session_id, incarnation = split_member(each.member)
            if record is None or incarnation not in (None, record.incarnation):
                dead.append(each)
            else:
                # A note that its life is longer is on its way, or was lost.
                facts = Facts.of(record)
                alive.append(place_command(self._keys, "fix", session_id, record.kind, facts))
        await self._executor.run(*alive)
        return dead

    async def _live(self, session_ids: Sequence[str]) -> list[Record | None]:
        # By the clock of the server that has the record.
        replies = await self._executor.run(
            *(call("look", [self._keys.record(session_id)]) for session_id in session_ids)
        )
        return [
            record_of(session_id, *reply) if reply else None
            for session_id, reply in zip(session_ids, replies, strict=True)
        ]

    async def _claim(self, kind: str, dead: Sequence[_Due], claim_ms: int) -> list[Expired]:
        buckets: dict[int, list[_Due]] = {}
        for each in dead:
            buckets.setdefault(each.bucket, []).append(each)
        replies = await self._executor.run(
            *(
                on_bucket(
                    self._keys,
                    "claim",
                    kind,
                    bucket,
                    "claim",
                    claim_ms,
                    *(part for each in some for part in (each.member, each.score)),
                )
                for bucket, some in buckets.items()
            )
        )
        claimed = {member.decode() for reply in replies for member in reply}
        return [_expired(kind, each) for each in dead if each.member in claimed]

    async def finish(self, expired: Sequence[Expired]) -> None:
        """See `Backend.finish_expired`."""
        kinds: dict[str, list[Expired]] = {}
        for each in expired:
            kinds.setdefault(each.kind, []).append(each)
        for kind, some in kinds.items():
            for at in range(0, len(some), CHUNK):
                await self._finish(kind, some[at : at + CHUNK])

    async def _finish(self, kind: str, expired: Sequence[Expired]) -> None:
        known = await self._facts(kind, expired)
        gone = [(each, facts) for each, facts in zip(expired, known, strict=True) if facts is not None]
        await self._executor.run(
            *(self._reclaim(each) for each in expired),
            *(
                ("ZREM", self._keys.index(kind, name), each.session_id)
                for each, facts in gone
                for name in facts.filters()
            ),
        )
        # Its place goes last: until then all of this can be done again by another.
        standing = await self._executor.run(
            *(
                on_bucket(
                    self._keys,
                    "claim",
                    kind,
                    bucket_of(each.session_id),
                    "finish",
                    each.session_id,
                    each.incarnation,
                )
                for each in expired
            )
        )
        # One that was made under the same id may have lost what it shares with the one that is gone.
        again = [
            (each.session_id, facts)
            for each, (place,) in zip(expired, standing, strict=True)
            if (facts := facts_of(place)) is not None
        ]
        for session_id, facts in again:
            await self._executor.run(
                *filter_commands(self._keys, session_id, kind, facts, new=True),
                *known_commands(self._keys, kind, facts),
            )
        await self._notes.forget_empty(kind, [facts for _, facts in gone])
        self._tell(expired, {session_id for session_id, _ in again})

    async def _facts(self, kind: str, expired: Sequence[Expired]) -> list[Facts | None]:
        """What is kept of each, under its own name or, where its id has been used again, aside."""
        replies = await self._executor.run(
            *(
                (
                    "HMGET",
                    self._keys.bucket(kind, bucket_of(each.session_id))["places"],
                    each.session_id,
                    member_of(each.session_id, each.incarnation),
                )
                for each in expired
            )
        )
        found: list[Facts | None] = []
        for each, (place, past) in zip(expired, replies, strict=True):
            facts = facts_of(place)
            found.append(facts if facts and facts.incarnation == each.incarnation else facts_of(past))
        return found

    def _tell(self, expired: Sequence[Expired], standing: set[str]) -> None:
        """Let those know who watch a user or the store."""
        for each in expired:
            if each.session_id not in standing:
                facts = Facts(0, each.incarnation, each.user_id, None, (), 0, 0, 0, 0)
                self._executor.notify(
                    place_command(self._keys, "change", each.session_id, each.kind, facts, change=True)
                )

    def _reclaim(self, expired: Expired) -> Command:
        parts = self._keys.parts(expired.session_id)
        # Of others they are never there, and a node that a slot leaves takes what is not there for moved.
        index = self._keys.vectors(expired.session_id) if expired.kind == "memory" else []
        packed = pack({"keys": parts, "incarnation": expired.incarnation, "index": index})
        return call("reclaim", [self._keys.record(expired.session_id)], packed)


def _expired(kind: str, due: _Due) -> Expired:
    session_id, incarnation = split_member(due.member)
    if incarnation is None:
        incarnation = due.facts.incarnation if due.facts else ""
    return Expired(session_id, kind, due.facts.user_id if due.facts else None, incarnation)
