"""The redis backend: each method is one script, or commands that need not be one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from miniagent_backends.redis import erasing, staging
from miniagent_backends.redis.caching import Caching
from miniagent_backends.redis.counting import count, count_expiring, stats
from miniagent_backends.redis.gauges import gauges
from miniagent_backends.redis.health import examine
from miniagent_backends.redis.index_health import IndexLook
from miniagent_backends.redis.indexes import list_sessions
from miniagent_backends.redis.keys import Keys
from miniagent_backends.redis.known import KnownSessions
from miniagent_backends.redis.noting import Notes
from miniagent_backends.redis.places import Facts, commands_before, filter_commands
from miniagent_backends.redis.plain_reading import is_large
from miniagent_backends.redis.reading import read
from miniagent_backends.redis.reconciling import Reconciling
from miniagent_backends.redis.refusals import refuse, understanding
from miniagent_backends.redis.repairing import Repairing
from miniagent_backends.redis.rewriting import session_ids
from miniagent_backends.redis.routing.executor import Answer, Executor
from miniagent_backends.redis.schema import pack, pack_commit, pack_rewrite, record_of, result_of
from miniagent_backends.redis.sweeping import Sweeping
from miniagent_backends.redis.watching import WakeUps, read_changes
from miniagent_backends.redis.wire.connection import Command
from miniagent_backends.redis.wire.node import Node
from miniagent_store.backend import (
    Backend,
    BackendStats,
    CacheItem,
    Capabilities,
    Change,
    Commit,
    CommitIdentity,
    CommitResult,
    ConnectionEvent,
    Create,
    Expired,
    LeaseGrant,
    LeaseHeld,
    LeaseRequest,
    ListQuery,
    ListResult,
    RateAlgorithm,
    RateResult,
    RateStep,
    ReadPlan,
    ReadResult,
    Record,
    Rewrite,
    RewriteResult,
    StagePublish,
    StageWrite,
    Subscription,
    Topic,
)
from miniagent_store.errors import (
    BackendUnavailableError,
    DurabilityError,
    OutcomeUnknownError,
    SessionNotFoundError,
    StoreError,
)
from miniagent_store.repair_report import RepairReport
from miniagent_store.rules import kept_ms
from miniagent_store.rules.lease import CLAIM_MS, LATE
from miniagent_store.values import Finding

# For a server to answer to the question how it is.
PROBE_SECONDS = 2.0
# Round trips that are timed for a thorough look.
ROUNDS = 10
# Where these go wrong, walking over what is stored is no use.
STANDS_IN_THE_WAY = {"connection", "slots"}
# Names that are tried for a key on a certain node.
MOST_CANARIES = 2000


class RedisBackend(Backend):
    """Sessions in Redis or Valkey: one server, behind Sentinel, or a Cluster.

    Args:
        executor: brings commands to where their keys are.
        keys: names of keys.
        heartbeat: seconds after which the connection of wake-ups is looked after.
        cache_max_size: bytes that may be cached; None for no limit.
        grace_ms: how much longer than its session what it holds is kept.
        parent: whose connections these are, for a tenant's.
    """

    name = "redis"
    capabilities: Capabilities = Capabilities(durable=True, shared=True)

    def __init__(
        self,
        executor: Executor,
        keys: Keys,
        *,
        heartbeat: float = 10.0,
        cache_max_size: int | None = None,
        grace_ms: int = 0,
        parent: RedisBackend | None = None,
    ) -> None:
        self._executor, self._keys, self._grace_ms, self._parent = executor, keys, grace_ms, parent
        if parent is None:
            self._wake_ups = WakeUps(executor, keys, heartbeat)
            executor.events.listener = self._tell
        else:
            self._wake_ups = parent._wake_ups.within(keys)
        self._cache_max_size = cache_max_size
        self._caching = Caching(executor, keys, cache_max_size)
        self._known: KnownSessions = KnownSessions(keys, grace_ms, parent._known if parent else None)
        self._notes = Notes(executor, keys)
        self._sweeping = Sweeping(executor, keys, self._notes)

    @property
    def executor(self) -> Executor:
        """For indexes of memories that stand on the server."""
        return self._executor

    @property
    def keys(self) -> Keys:
        """The names of keys."""
        return self._keys

    async def open(self) -> None:
        if self._parent is None:
            await self._executor.open()

    async def close(self) -> None:
        await self._wake_ups.close()
        await self._notes.close()
        if self._parent is None:
            await self._executor.close()

    def _tell(self, event: ConnectionEvent) -> None:
        self.tell(event)

    def now_ms(self) -> int:
        return self._executor.now_ms()

    def _session_keys(self, session_id: str) -> tuple[str, dict[str, str]]:
        return self._keys.record(session_id), self._keys.parts(session_id)

    # Sessions

    async def commit(self, commit: Commit) -> CommitResult:
        append = self._known.prepare(commit, self._executor.now_ms())
        try:
            if append is not None:
                answer = await self._executor.write_alone(append.key, append.command)
                if answer.reply:
                    _check_acknowledged(commit.session_id, answer)
                    self._notes.note(append.result.record)
                    return append.result
                # It was not as it was expected to be.
                self._known.forget(commit.session_id)
            result = await self._commit(commit)
        except OutcomeUnknownError as error:
            self._known.forget(commit.session_id)
            raise OutcomeUnknownError(
                commit.session_id, commit_id=str(commit.identity), why=error.why, final=error.final
            ) from error
        except BaseException:
            self._known.forget(commit.session_id)
            raise
        if (not commit.changes_nothing or result.created) and (commit.retry or not result.replayed):
            # After a retry too: its first try may not have come so far.
            created = result.created or (result.replayed and bool(commit.create))
            self._notes.note(result.record, created=created)
        return result

    async def _commit(self, commit: Commit) -> CommitResult:
        record_key, parts = self._session_keys(commit.session_id)
        packed = pack_commit(commit, parts, os.urandom(24), os.urandom(8).hex(), grace_ms=self._grace_ms)
        places = await self._places_before(commit)
        with understanding(commit.session_id, "a part"):
            answer = await self._executor.write("commit", [record_key], packed, before=places)
        reply = answer.reply
        if reply[0] != b"OK":
            if commit.create is not None:
                self._not_made(_draft_of(commit, commit.create), reply[0])
            elif commit.tags:
                self._notes.tags_refused(commit.session_id, commit.tags)
            raise refuse(commit.session_id, str(commit.identity), reply, commit.fence)
        result = result_of(commit.session_id, reply)
        if commit.create is not None and not result.created:
            draft = _draft_of(commit, commit.create)
            there = result.record
            own = set(Facts.of(draft).filters())
            if draft.kind != there.kind or not own <= set(Facts.of(there).filters()):
                self._notes.misplaced(draft)
        if answer.problem is not None and result.created:
            # All or nothing: a session that no listing shows is taken back.
            await self.delete(commit.session_id, result.record.incarnation)
            raise answer.problem
        _check_acknowledged(commit.session_id, answer)
        if len(reply) > 8:
            self._known.learn(commit.identity.writer, result.record, reply[2], reply[8])
        return result

    async def _places_before(self, commit: Commit) -> Sequence[Command]:
        """What gives the session its places in listings before it is there, or has new tags.

        Before, so that no live session is ever missing, whenever we crash; one that is there keeps it.
        """
        if commit.create is not None:
            return self._places(_draft_of(commit, commit.create), commit.create)
        if not commit.tags:
            return []
        there = (await self.read(ReadPlan(commit.session_id))).record
        if there is None:
            return []
        facts = replace(Facts.of(there), user_id=None, agent=None, tags=commit.tags)
        return list(filter_commands(self._keys, there.session_id, there.kind, facts, new=True))

    def _places(self, draft: Record, create: Create) -> Sequence[Command]:
        return list(commands_before(self._keys, draft, create.ttl_ms, active_ms=draft.last_activity_ms))

    def _not_made(self, draft: Record, why: bytes) -> None:
        """Take back the places of a session that was refused."""
        if why == b"EXISTS":
            self._notes.misplaced(draft)
        else:
            self._notes.gone(draft, changed=False)

    async def read(self, plan: ReadPlan) -> ReadResult:
        return await read(self._executor, self._keys, plan)

    async def touch(self, session_id: str, ttl_ms: int | None, keep_ttl: bool) -> Record:
        record_key, parts = self._session_keys(session_id)
        packed = pack(
            {
                "keys": parts,
                "keep": keep_ttl,
                "ttl": ttl_ms or False,
                "guard": os.urandom(8),
                "grace": self._grace_ms,
            }
        )
        with understanding(session_id, "the record"):
            answer = await self._executor.write("touch", [record_key], packed)
        reply = answer.reply
        if not reply:
            raise SessionNotFoundError(session_id)
        if reply[0] == b"DAMAGED":
            raise refuse(session_id, "", reply, None)
        _check_acknowledged(session_id, answer)
        record = record_of(session_id, *reply)
        self._notes.note(record, changed=False)
        return record

    async def list(self, query: ListQuery) -> ListResult:
        await self._notes.settle()
        return await list_sessions(self._executor, self._keys, query)

    async def delete(self, session_id: str, incarnation: str | None = None) -> bool:
        record_key, parts = self._session_keys(session_id)
        index = self._keys.vectors(session_id)
        packed = pack({"keys": parts, "incarnation": incarnation or False, "index": index})
        with understanding(session_id, "the record"):
            answer = await self._executor.write("delete", [record_key], packed)
        if not answer.reply[0]:
            return False
        record = record_of(session_id, b"", answer.reply[1], b"", 0)
        self._notes.gone(record)
        _check_acknowledged(session_id, answer)
        return True

    # Staged writes

    async def stage(self, write: StageWrite) -> None:
        await staging.stage(self._executor, self._keys, write)

    async def publish(self, publish: StagePublish) -> CommitResult:
        try:
            active_ms = publish.time_ms if publish.kept is None else publish.kept.last_activity_ms
            draft = _record_to_be(publish.session_id, publish.create, active_ms)
            places = self._places(draft, publish.create)
            answer = await staging.publish(self._executor, self._keys, publish, places, self._grace_ms)
        except OutcomeUnknownError as error:
            raise _in_doubt(publish.session_id, publish.identity, error) from error
        reply = answer.reply
        if reply[0] != b"OK":
            await self.discard(publish.session_id, publish.stage)
            self._not_made(draft, reply[0])
            raise refuse(publish.session_id, str(publish.identity), reply, None)
        result = result_of(publish.session_id, reply)
        if answer.problem is not None and result.created:
            await self.delete(publish.session_id, result.record.incarnation)
            raise answer.problem
        _check_acknowledged(publish.session_id, answer)
        self._notes.note(result.record, created=True)
        return result

    async def discard(self, session_id: str, stage: str) -> None:
        await staging.discard(self._executor, self._keys, session_id, stage)

    # Leases

    def _lease_keys(self, request: LeaseRequest) -> tuple[Sequence[str], str]:
        if request.scope == "lock":
            return [self._keys.lease(request.name)], self._keys.lease_channel(request.name)
        record_key, parts = self._session_keys(request.name)
        return [parts["turn"], record_key], parts["notify"]

    async def acquire(self, request: LeaseRequest) -> LeaseGrant | LeaseHeld:
        keys, channel = self._lease_keys(request)
        # Durably, or a master that is promoted at this moment would not know who has it.
        taking = self._executor.write(
            "lease",
            keys,
            "take",
            request.owner,
            request.ttl_ms,
            request.holder,
            0,
            os.urandom(8),
            "1" if request.must_exist else "0",
            channel,
            request.line_until_ms,
            request.not_after_ms,
            CLAIM_MS,
        )
        answer, read = await self._with_read(taking, request.plan)
        reply = answer.reply
        if reply[0] == b"NOTFOUND":
            return LeaseGrant(0, 0, ReadResult(None))
        if reply[0] == b"LATE":
            raise BackendUnavailableError(LATE)
        if reply[0] == b"HELD":
            return LeaseHeld(reply[1].decode() or "another holder", *reply[2:])
        _check_acknowledged(request.name, answer, stored=False)
        grant = LeaseGrant(reply[1], reply[2])
        if request.plan is None:
            return grant
        # With the fence of this grant in it, the record was read when the turn was ours already.
        if read is None or read.record is None or read.record.fence != grant.fence:
            read = await self.read(request.plan)
        return replace(grant, read=read)

    async def _with_read(
        self, taking: Coroutine[Any, Any, Answer], plan: ReadPlan | None
    ) -> tuple[Answer, ReadResult | None]:
        """A lease that is taken, and what was read right behind it; None where that goes another way."""
        if plan is None or self._executor.is_durable or any(map(is_large, plan.ranges)):
            return await taking, None
        answer, read = await asyncio.gather(taking, self.read(plan), return_exceptions=True)
        if isinstance(answer, BaseException):
            raise answer
        return answer, None if isinstance(read, BaseException) else read

    async def renew(self, request: LeaseRequest, fence: int) -> bool:
        keys, arguments = self._held_lease("renew", request, fence)
        return bool(await self._executor.script("lease", keys, *arguments))

    async def release(self, request: LeaseRequest, fence: int) -> bool:
        keys, arguments = self._held_lease("release", request, fence)
        # Durably, or who waits would wait for the lease to end where a master is promoted at this moment.
        return bool((await self._executor.write("lease", keys, *arguments)).reply)

    def _held_lease(
        self, what: str, request: LeaseRequest, fence: int
    ) -> tuple[Sequence[str], Sequence[Any]]:
        keys, channel = self._lease_keys(request)
        return keys[:1], [
            what,
            request.owner,
            request.ttl_ms,
            request.holder,
            fence,
            b"",
            "0",
            channel,
        ]

    # Cache and rate limits

    async def cache_get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        return await self._caching.get(keys)

    async def cache_set(self, items: Sequence[CacheItem]) -> None:
        await self._caching.put(items)

    async def cache_delete(self, keys: Sequence[str]) -> int:
        return await self._caching.delete(keys)

    async def cache_clear(self, prefix: str, tag: str | None = None) -> int:
        return await self._caching.clear(prefix, tag)

    async def rate_limit(self, step: RateStep) -> RateResult:
        key = self._keys.rate(f"{step.algorithm}/{step.key}")
        reply = await self._executor.script(
            "rate",
            [key],
            step.algorithm,
            step.limit,
            step.period_ms,
            step.cost,
            step.capacity,
            kept_ms(step),
        )
        return RateResult(bool(reply[0]), reply[1], reply[2], reply[3])

    async def rate_reset(self, key: str) -> None:
        names = (self._keys.rate(f"{algorithm}/{key}") for algorithm in get_args(RateAlgorithm))
        await self._executor.run(*(("UNLINK", name) for name in names))

    # Watching

    async def subscribe(self, topic: Topic) -> Subscription:
        return await self._wake_ups.subscribe(topic)

    async def unsubscribe(self, topic: Topic, subscription: Subscription) -> None:
        await self._wake_ups.unsubscribe(topic, subscription)

    async def changes(self, after: str | None, limit: int) -> tuple[Sequence[Change], str]:
        if after is None:
            await self._notes.settle()
        return await read_changes(self._executor, self._keys, await self.kinds(), after, limit)

    # Writing stored bytes anew

    async def kinds(self) -> Sequence[str]:
        others = await self._executor.execute("SMEMBERS", self._keys.kinds())
        return sorted({"session", *(kind.decode() for kind in others)})

    async def session_ids(
        self, kind: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[str], str | None]:
        return await session_ids(self._executor, self._keys, kind, cursor, limit)

    async def rewrite(self, rewrite: Rewrite) -> RewriteResult:
        record_key, parts = self._session_keys(rewrite.session_id)
        replaced, *row = await self._executor.script(
            "rewrite", [record_key], pack_rewrite(rewrite, parts, os.urandom(8))
        )
        if row:
            # Its size is another one.
            self._notes.note(record_of(rewrite.session_id, *row), changed=False)
        return RewriteResult(replaced, rewrite.parts - replaced)

    async def cache_scan(
        self, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, bytes]], str | None]:
        return await self._caching.scan(cursor, limit)

    async def cache_replace(self, key: str, old: bytes, new: bytes) -> bool:
        return await self._caching.replace(key, old, new)

    # Tenants

    def within(self, namespace: str) -> Backend:
        keys = self._keys.within(namespace)
        return RedisBackend(
            self._executor.within(keys),
            keys,
            cache_max_size=self._cache_max_size,
            grace_ms=self._grace_ms,
            parent=self,
        )

    async def settle(self) -> None:
        await self._notes.settle()

    async def erase(self, cursor: str | None, limit: int) -> tuple[Mapping[str, int], str | None]:
        return await erasing.erase(self._executor, self._keys, cursor, limit)

    async def namespaces(self, cursor: str | None, limit: int) -> tuple[Sequence[str], str | None]:
        return await erasing.namespaces(self._executor, self._keys, cursor, limit)

    # Running it

    async def ping(self) -> dict[str, Any]:
        masters = self._executor.masters()
        # Not PING, which a server refuses that cannot save to its disk.
        await masters[0].probe("TIME", timeout=PROBE_SECONDS)
        # They tell more; who is not allowed to ask is as well without.
        (role, *infos), numbers = await asyncio.gather(
            masters[0].exchange([("ROLE",), ("INFO", "server"), ("INFO", "memory")]),
            gauges(masters, self._keys),
        )
        details: dict[str, Any] = {"server": ", ".join(node.name for node in masters)}
        if isinstance(role, list):
            details["role"] = role[0].decode()
        wanted = {
            "redis_version",
            "valkey_version",
            "used_memory_human",
            "maxmemory_human",
            "maxmemory_policy",
        }
        for line in b"".join(info for info in infos if isinstance(info, bytes)).decode().splitlines():
            name, _, value = line.partition(":")
            if name in wanted:
                details[name] = value
        return {**details, **numbers}

    async def findings(self) -> Sequence[Finding]:
        return await self._findings(1)

    async def _findings(self, rounds: int) -> Sequence[Finding]:
        looks = (
            examine(node, self._canary(node), self._executor.replicas_wanted(node), rounds)
            for node in self._executor.masters()
        )
        return [finding for found in await asyncio.gather(*looks) for finding in found]

    async def approach(self) -> Sequence[Finding]:
        return await self._executor.approach()

    async def examine(self, sample: int | None) -> Sequence[Finding]:
        found = [*await self._findings(ROUNDS), *await self._executor.findings()]
        if any(each.level == "error" and each.check in STANDS_IN_THE_WAY for each in found):
            return found
        try:
            await self._notes.settle()
            reconciling = Reconciling(self._executor, self._keys, self._notes, dry_run=True)
            look = IndexLook(self._executor, self._keys, reconciling)
            found += await look.findings(await self.kinds(), sample)
        except StoreError as error:
            found.append(Finding.of(error, "index"))
        return found

    def _canary(self, node: Node) -> str | None:
        """A key that is on this node; None if there is none to be found."""
        names = (self._keys.canary(number) for number in range(MOST_CANARIES))
        return next((name for name in names if self._executor.is_on(node, name)), None)

    async def stats(self) -> BackendStats:
        await self._notes.settle()
        return await stats(self._executor, self._keys, await self.kinds())

    async def count(self, query: ListQuery) -> int:
        await self._notes.settle()
        return await count(self._executor, self._keys, query)

    async def count_expiring(self, until_ms: int) -> int | None:
        await self._notes.settle()
        return await count_expiring(self._executor, self._keys, until_ms)

    # Cleaning up

    async def claim_expired(self, limit: int, claim_ms: int) -> Sequence[Expired]:
        await self._notes.settle()
        return await self._sweeping.claim(await self.kinds(), limit, claim_ms)

    async def finish_expired(self, expired: Sequence[Expired]) -> None:
        await self._sweeping.finish(expired)

    async def reconcile(self, progress: Callable[[int], None] | None = None) -> int:
        await self._notes.settle()
        return await Reconciling(self._executor, self._keys, self._notes).run(progress)

    async def repair(
        self,
        report: RepairReport,
        *,
        salvage: bool = False,
        dry_run: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        await self._notes.settle()
        repairing = Repairing(
            self._executor,
            self._keys,
            self._notes,
            self._grace_ms,
            report,
            salvage=salvage,
            dry_run=dry_run,
        )
        await repairing.run(progress)


def _check_acknowledged(session_id: str, answer: Answer, *, stored: bool = True) -> None:
    if answer.acknowledged < answer.asked:
        raise DurabilityError(
            session_id, acknowledged=answer.acknowledged, asked=answer.asked, stored=stored
        )


def _in_doubt(session_id: str, identity: CommitIdentity, error: OutcomeUnknownError) -> OutcomeUnknownError:
    return OutcomeUnknownError(session_id, commit_id=str(identity), why=error.why)


def _draft_of(commit: Commit, create: Create) -> Record:
    tags = create.tags if commit.tags is None else commit.tags
    active_ms = commit.time_ms if commit.last_activity_ms is None else commit.last_activity_ms
    return _record_to_be(commit.session_id, replace(create, tags=tags), active_ms)


def _record_to_be(session_id: str, create: Create, active_ms: int) -> Record:
    return Record(
        session_id=session_id,
        kind=create.kind,
        user_id=create.user_id,
        agent=create.agent,
        tags=create.tags,
        created_ms=active_ms,
        last_activity_ms=active_ms,
        expires_ms=None,
        ttl_ms=None,
        sliding=True,
        version=0,
        epoch=0,
        incarnation="",
        token=b"",
        metadata=b"",
        logs={},
        size=0,
        fence=0,
    )
