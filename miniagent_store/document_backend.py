"""A backend out of two primitives: for folders, object stores, tables, and whatever keeps documents."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, TypeVar, get_args

from miniagent_store.backend import (
    Backend,
    BackendOptions,
    BackendStats,
    Change,
    Commit,
    CommitResult,
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
    StagePublish,
    StageWrite,
    Subscription,
    Topic,
)
from miniagent_store.cancellation import to_the_end
from miniagent_store.document_caching import DocumentCaching
from miniagent_store.document_erasing import DocumentErasing
from miniagent_store.document_rewriting import DocumentRewriting
from miniagent_store.errors import SessionExistsError, StoreError
from miniagent_store.rules import (
    Growth,
    Hits,
    LeaseRow,
    acquire_lease,
    acquire_turn,
    apply_commit,
    count_matching,
    count_one,
    count_records,
    expired_of,
    is_claimable,
    is_expired,
    is_to_finish,
    is_turn_over,
    kept_ms,
    list_page,
    next_in_line,
    publish_stage,
    read_plan,
    release_lease,
    renew_lease,
    touched,
)
from miniagent_store.rules.change_log import ChangeLog
from miniagent_store.rules.document_codec import (
    KEPT_LEASE_MS,
    Document,
    Stage,
    decode_document,
    plain_lease,
)
from miniagent_store.rules.item_codec import Item
from miniagent_store.rules.session_document import SessionDocument

T = TypeVar("T")
logger: logging.Logger = logging.getLogger("miniagent_store")
STORE = Topic("store")


class DocumentBackend(DocumentRewriting, DocumentCaching, DocumentErasing, Backend):
    """A whole backend over atomic changes of single documents.

    Give `transact`, `keys` and `capabilities`, and `open` and `close` where there is something to open:

        class DictBackend(DocumentBackend):
            name = "dict"
            capabilities = Capabilities(durable=False, shared=False)

            def __init__(self, url, options):
                super().__init__(options)
                self._documents = {}

            async def transact(self, key, change):
                after, result = change(self._documents.get(key))
                if after is None:
                    self._documents.pop(key, None)
                else:
                    self._documents[key] = after
                return result

            async def keys(self, prefix):
                return [key for key in self._documents if key.startswith(prefix)]

    What it costs: a session is one document, so each commit reads and writes its whole history, and a
    listing reads every session. Fine for hundreds of messages and thousands of sessions; beyond that,
    implement `Backend`, with the rules of `miniagent_store.rules` or without.

    Args:
        options: as the factory was given them.

    Attributes:
        poll_interval: seconds between looks for what other processes did, while someone waits or watches.
    """

    poll_interval: ClassVar[float] = 0.05

    def __init__(self, options: BackendOptions) -> None:
        super().__init__(options.namespace)
        self.options = options
        self._growth, self._hits = Growth(options.cache_max_size), Hits()
        self._waiting: dict[Topic, list[Subscription]] = {}
        # Who waits in the namespaces of tenants.
        self._rooms: dict[str, dict[Topic, list[Subscription]]] = {}
        self._poller: asyncio.Task[None] | None = None

    # Life cycle

    async def open(self) -> None:
        """Open what `transact` needs; nothing by default."""

    async def close(self) -> None:
        """Stop polling. Who overrides it calls this too, first."""
        self._closed = True
        self._waiting.clear()
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.cancel()
            await asyncio.gather(poller, return_exceptions=True)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    # Sessions

    async def commit(self, commit: Commit) -> CommitResult:
        def work(document: Document) -> tuple[CommitResult, bool, LeaseRow | None]:
            before = document.record
            result = apply_commit(document.rows(), commit, self.now_ms())
            return result, result.record is not before, document.turns.get(commit.session_id)

        async def run() -> CommitResult:
            result, changed, turn = await self._change(commit.session_id, work, commit.identity)
            if changed:
                await self._changed(result.record)
            if commit.fence and commit.fence.turn_owner:
                self._wake_next("turn", commit.session_id, turn)
            return result

        return await to_the_end(run())

    async def read(self, plan: ReadPlan) -> ReadResult:
        document = decode_document(
            await self._fetch(self._key("session", plan.session_id)), plan.session_id
        )
        return read_plan(document.rows(), plan, self.now_ms())

    async def touch(self, session_id: str, ttl_ms: int | None, keep_ttl: bool) -> Record:
        def work(document: Document) -> Record:
            rows = document.rows()
            record = touched(rows, session_id, ttl_ms, keep_ttl, os.urandom(8), self.now_ms())
            rows.save_record(record)
            return record

        return await to_the_end(self._change(session_id, work))

    async def list(self, query: ListQuery) -> ListResult:
        return list_page(await self._records(), query, self.now_ms())

    async def delete(self, session_id: str, incarnation: str | None = None) -> bool:
        def work(document: Document) -> Record | None:
            record = document.record
            if record is None or is_expired(record.expires_ms, self.now_ms()):
                return None
            if incarnation is not None and record.incarnation != incarnation:
                return None
            document.sessions.clear()
            return record

        return await to_the_end(self._delete(session_id, work))

    async def _delete(self, session_id: str, work: Callable[[Document], Record | None]) -> bool:
        record = await self._change(session_id, work)
        if record is not None:
            await self._changed(record, deleted=True)
        return record is not None

    # Staged writes: kept in the document of the id that they are to have, so that publishing is one step

    async def stage(self, write: StageWrite) -> None:
        def work(document: Document) -> None:
            stage = document.stages.setdefault(write.stage, Stage(SessionDocument(), 0))
            stage.expires_ms = self.now_ms() + write.ttl_ms
            stage.session.add_staged(write)

        await to_the_end(self._change(write.session_id, work))

    async def publish(self, publish: StagePublish) -> CommitResult:
        taken: SessionExistsError | None = None

        def work(document: Document) -> CommitResult | None:
            nonlocal taken
            now, taken = self.now_ms(), None
            stage = document.stages.pop(publish.stage, None)
            there = stage is not None and not is_expired(stage.expires_ms, now)
            staged = stage.session if stage is not None and there else SessionDocument()
            tails = staged.tails(publish.bases) if there else None
            try:
                result = publish_stage(document.rows(), publish, tails, staged.size, now)
            except SessionExistsError as error:
                # Not raised in here: the stage is to be dropped all the same.
                taken = error
                return None
            if not result.replayed:
                document.sessions[publish.session_id].take_parts(staged)
            return result

        async def run() -> CommitResult | None:
            result = await self._change(publish.session_id, work, publish.identity)
            if result is not None and not result.replayed:
                await self._changed(result.record)
            return result

        result = await to_the_end(run())
        if result is None:
            assert taken is not None
            raise taken
        return result

    async def discard(self, session_id: str, stage: str) -> None:
        await to_the_end(self._change(session_id, lambda document: document.stages.pop(stage, None)))

    # Leases

    async def acquire(self, request: LeaseRequest) -> LeaseGrant | LeaseHeld:
        def turn(document: Document) -> tuple[LeaseRow | None, LeaseGrant | LeaseHeld]:
            answer = acquire_turn(document.rows(), request, self.now_ms())
            return document.turns.get(request.name), answer

        def lock(row: LeaseRow | None) -> tuple[LeaseRow, LeaseGrant | LeaseHeld]:
            return acquire_lease(row, request, self.now_ms())

        if request.scope == "lock":
            return await to_the_end(self._change_lock(request.name, lock))
        row, answer = await to_the_end(self._change(request.name, turn))
        self._wake_next("turn", request.name, row)
        return answer

    async def renew(self, request: LeaseRequest, fence: int) -> bool:
        row = await self._change_lease(request, lambda row: renew_lease(row, request, fence, self.now_ms()))
        return row is not None

    async def release(self, request: LeaseRequest, fence: int) -> bool:
        row = await self._change_lease(
            request, lambda row: release_lease(row, request, fence, self.now_ms())
        )
        self._wake_next(request.scope, request.name, row)
        return row is not None

    def _wake_next(self, scope: Literal["turn", "lock"], name: str, row: LeaseRow | None) -> None:
        owner = next_in_line(row, self.now_ms())
        if owner is not None:
            self._wake(Topic(scope, name, owner))

    async def _change_lease(
        self, request: LeaseRequest, rule: Callable[[LeaseRow | None], LeaseRow | None]
    ) -> LeaseRow | None:
        """Save what `rule` makes of a lease's row, if anything, and return it."""

        def turn(document: Document) -> LeaseRow | None:
            row = rule(document.turns.get(request.name))
            if row is not None:
                document.turns[request.name] = row
            return row

        def lock(before: LeaseRow | None) -> tuple[LeaseRow | None, LeaseRow | None]:
            row = rule(before)
            return row or before, row

        if request.scope == "turn":
            return await to_the_end(self._change(request.name, turn))
        return await to_the_end(self._change_lock(request.name, lock))

    async def _change_lock(
        self, name: str, work: Callable[[LeaseRow | None], tuple[LeaseRow | None, T]]
    ) -> T:
        def change(item: Item | None) -> tuple[Item | None, T]:
            row = LeaseRow(*item.value) if item else None
            after, result = work(row)
            if after is None or after == row:
                return item, result
            return Item(name, after.until_ms + KEPT_LEASE_MS, plain_lease(after)), result

        return await self._change_item("lock", name, change)

    # Rate limits

    async def rate_limit(self, step: RateStep) -> RateResult:
        name = f"{step.algorithm}/{step.key}"

        def change(item: Item | None) -> tuple[Item | None, RateResult]:
            now = self.now_ms()
            state = None if item is None or is_expired(item.due_ms, now) else item.value
            kept, result = count_one(state, step, now)
            return (item if kept == state else Item(name, now + kept_ms(step), kept)), result

        return await to_the_end(self._change_item("rate", name, change))

    async def rate_reset(self, key: str) -> None:
        for algorithm in get_args(RateAlgorithm):
            await to_the_end(self._remove("rate", f"{algorithm}/{key}"))

    # Watching

    async def subscribe(self, topic: Topic) -> Subscription:
        self._check_open()
        subscription = Subscription()
        self._waiting.setdefault(topic, []).append(subscription)
        if self.capabilities.shared and (self._poller is None or self._poller.done()):
            self._poller = asyncio.get_running_loop().create_task(self._poll())
        return subscription

    async def unsubscribe(self, topic: Topic, subscription: Subscription) -> None:
        left = [each for each in self._waiting.get(topic, ()) if each is not subscription]
        if left:
            self._waiting[topic] = left
        else:
            self._waiting.pop(topic, None)

    async def _poll(self) -> None:
        # It cannot be known that other processes did nothing, so all who wait are to look for themselves,
        # but those in line, whom only one can follow: a look at the lease does for all of them.
        while self._waiting:
            await asyncio.sleep(self.poll_interval)
            for topic in self._waiting:
                if not topic.owner:
                    self._wake(topic)
            lines = {(topic.scope, topic.name) for topic in self._waiting if topic.owner}
            for scope, name in lines:
                with contextlib.suppress(StoreError):  # who waits asks by itself now and then
                    await self._look_at_line(scope, name)

    async def _look_at_line(self, scope: str, name: str) -> None:
        if scope == "turn":
            document = decode_document(await self._fetch(self._key("session", name)), name)
            self._wake_next("turn", name, document.turns.get(name))
        else:
            item = Item.decode(await self._fetch(self._key("lock", name)))
            self._wake_next("lock", name, LeaseRow(*item.value) if item else None)

    def _wake(self, topic: Topic) -> None:
        for subscription in self._waiting.get(topic, ()):
            subscription.wake()

    async def changes(self, after: str | None, limit: int) -> tuple[Sequence[Change], str]:
        # Whoever asks makes commits write a change log, so that nobody pays for it who is not watched.
        key, now = self._key("changes", ""), self.now_ms()
        log = ChangeLog.decode(await self._fetch(key))
        if log is None or log.is_stale(now):
            log = await to_the_end(self._transact(key, lambda before: ChangeLog.asked(before, now)))
        if after is None:
            return [], log.cursor
        found = log.after(after, limit)
        if found is not None:
            return found
        # Too long ago to say: every session may have changed.
        records = [each for each in await self._records() if not is_expired(each.expires_ms, now)]
        return [_change(record) for record in records], log.cursor

    async def _changed(self, record: Record, *, deleted: bool = False) -> None:
        try:
            key = self._key("changes", "")
            if await self._fetch(key) is not None:
                change = _change(record, deleted=deleted)
                await self._transact(key, lambda before: ChangeLog.noted(before, change))
        except StoreError as error:
            # The commit stands; who watches will hear of the session at its next one.
            logger.warning("a change of session %r was not noted: %s", record.session_id, error)
        self._wake(Topic("session", record.session_id))
        self._wake(STORE)

    # Tenants

    def within(self, namespace: str) -> Backend:
        from miniagent_store.document_tenants import DocumentTenant

        return DocumentTenant(self, namespace)

    # Running it

    async def ping(self) -> dict[str, Any]:
        await self._fetch(self._key("changes", ""))
        return {"durable": self.capabilities.durable}

    async def stats(self) -> BackendStats:
        return count_records(await self._records(), self.now_ms())

    async def count(self, query: ListQuery) -> int:
        return count_matching(await self._records(), query, self.now_ms())

    # Cleaning up

    async def claim_expired(self, limit: int, claim_ms: int) -> Sequence[Expired]:
        claimed: list[Expired] = []
        for key in await self._keys("session"):
            if len(claimed) >= limit:
                break
            head = await self._head(key)
            if head is not None and is_expired(head.due_ms, self.now_ms()):
                expired = await to_the_end(self._claim(head.session_id, claim_ms))
                if expired is not None:
                    claimed.append(expired)
        return claimed

    async def _claim(self, session_id: str, claim_ms: int) -> Expired | None:
        def work(document: Document) -> Expired | None:
            now, record = self.now_ms(), document.record
            document.drop_due(now)
            session = document.sessions.get(session_id)
            if record is None or session is None or not is_claimable(record, session.claimed_ms, now):
                return None
            session.claimed_ms = now + claim_ms
            return expired_of(record)

        return await self._change(session_id, work)

    async def finish_expired(self, expired: Sequence[Expired]) -> None:
        for each in expired:
            await to_the_end(self._finish(each))

    async def _finish(self, expired: Expired) -> None:
        def work(document: Document) -> Record | None:
            record, now = document.record, self.now_ms()
            if not is_to_finish(record, expired, now):
                return None
            document.sessions.clear()
            if is_turn_over(document.turns.get(expired.session_id), now):
                document.turns.clear()
            return record

        record = await self._change(expired.session_id, work)
        if record is not None:
            await self._changed(record, deleted=True)

    async def reclaim(self) -> None:
        for kind in ("lock", "cache", "rate"):
            for key in await self._keys(kind):
                item = Item.decode(await self._fetch(key))
                if item is not None and is_expired(item.due_ms, self.now_ms()):
                    await to_the_end(self._change_item(kind, item.name, self._unless_due))
        key = self._key("changes", "")
        log = ChangeLog.decode(await self._fetch(key))
        if log is not None and log.is_forgotten(self.now_ms()):
            await to_the_end(self._transact(key, lambda _: (None, None)))

    def _unless_due(self, item: Item | None) -> tuple[Item | None, None]:
        return (None if item is None or is_expired(item.due_ms, self.now_ms()) else item), None

    async def _records(self) -> Sequence[Record]:
        heads = [await self._head(key) for key in await self._keys("session")]
        return [head.record for head in heads if head is not None and head.record is not None]


def _change(record: Record, *, deleted: bool = False) -> Change:
    return Change(record.session_id, record.kind, record.user_id, record.version, deleted)
