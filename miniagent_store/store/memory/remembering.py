"""Remembering what is said in a session: each message once, in order, by however many who do so at once.

How far a scope has come stands in its record and moves in the commit of the memories, on condition that
nobody else has moved it: of several who read the same messages one commits, and the others read on. Who is
killed leaves nothing half done.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from miniagent_store.backend import Create, Expected, LogRange, ReadPlan, ReadResult, Record
from miniagent_store.errors import VersionConflictError
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout
from miniagent_store.store.memory.anchoring import CONFLICTS, Anchored, anchor
from miniagent_store.store.memory.followed import Followed
from miniagent_store.store.memory.forgetting import forget_in_scope, tidy
from miniagent_store.store.memory.layout import NewMemory
from miniagent_store.store.memory.pausing import ATTEMPTS, pause
from miniagent_store.store.memory.sources import until
from miniagent_store.store.memory.trimming import trim_changes
from miniagent_store.values import MESSAGES, Entry, MemorySource, Message, Session, to_ms

Remember = Callable[[Message], str | Awaitable[str | None] | None]
# Messages that are looked at, and remembered, together: with more, to encode them would hold up others.
PAGE = 16
# Characters; no embedder is asked for more, and none should fail for ever at one message.
LONGEST = 8000


@dataclass(frozen=True, slots=True)
class Following:
    """What is remembered of a session, and how.

    Attributes:
        core: of the store.
        scope, record_id: where.
        put: adds memories to a batch.
        remember: what to remember of a message; None for nothing.
        ttl_ms: how long, counted from when it was said.
        forget_on_expiry: whether it goes with the session.
    """

    core: StoreCore
    scope: str
    record_id: str
    put: Callable[[Batch, Sequence[NewMemory]], Awaitable[None]]
    remember: Remember
    ttl_ms: int | None = None
    forget_on_expiry: bool = False

    async def follow(self, session_id: str) -> int:
        """Remember what was said since last time; how much that was.

        Raises:
            EmbeddingError: no vectors could be made; it is as it was, and may be tried again.
        """
        remembered = attempt = 0
        while attempt < ATTEMPTS:
            done = await self._step(session_id)
            if isinstance(done, int):
                return remembered + done
            remembered += done.remembered
            # As long as somebody gets on, it comes to an end.
            attempt = 0 if done.remembered else attempt + 1
            if done.is_late:
                await pause(attempt)
        raise VersionConflictError(self.record_id, expected="as it was read", actual="others change it")

    async def _step(self, session_id: str) -> int | _Step:
        """One page; a number where there is no more."""
        core = self.core
        record, is_new = await anchor(core, session_id, self.scope, forget_on_expiry=self.forget_on_expiry)
        if record is None or record.kind != "session":
            return 0
        there = await core.read(
            ReadPlan(self.record_id, names=(layout.followed_name(session_id), layout.FORGOTTEN))
        )
        forgotten_ms, followed, version = self._known(session_id, there)
        if followed is not None and followed.incarnation == record.incarnation and followed.gone:
            return 0
        if followed is None:
            followed = Followed.of(record)
        elif not followed.is_of(record.incarnation, record.epoch):
            await tidy(core, self.record_id, session_id)
            return _Step()
        plan = ReadPlan(session_id, (LogRange(MESSAGES, after=followed.after, limit=PAGE),))
        read = await core.read(plan)
        if read.record is None:
            return 0
        if not followed.is_of(read.record.incarnation, read.record.epoch):
            return _Step()
        entries = await core.coding.decode_entries(session_id, MESSAGES, read.entries[0])
        if not entries:
            return 0
        new = [
            memory
            for entry in entries
            if followed.is_new(entry) and to_ms(entry.time) > forgotten_ms
            if (memory := await self._memory(read.record, entry)) is not None
        ]
        batch = Batch(core, self.record_id, create=self._create(there), expected=_expected(there))
        if new:
            await self.put(batch, new)
        anchored = Anchored(read.record, followed, version, is_new)
        anchored.write(batch, followed.past(entries[-1]))
        try:
            result = await batch.commit("memory.follow")
        except CONFLICTS:
            return _Step(is_late=True)
        if new:
            await trim_changes(core, self.record_id, result)
        forget = self.forget_on_expiry
        if (version == 0 or forget) and await anchored.is_gone(core, expired=forget):
            await forget_in_scope(core, self.record_id, session_id, record.incarnation)
            return 0
        return len(new) if len(entries) < PAGE else _Step(remembered=len(new))

    def _known(self, session_id: str, there: ReadResult) -> tuple[int, Followed | None, int]:
        forgotten_ms, followed, version = 0, None, 0
        for each in there.values:
            value = self.core.coding.decode_value(self.record_id, each)
            if each.name == layout.FORGOTTEN:
                forgotten_ms = value
            else:
                followed, version = Followed.from_dict(value), each.version
        return forgotten_ms, followed, version

    async def _memory(self, record: Record, entry: Entry) -> NewMemory | None:
        """What is to be remembered of a message, if anything."""
        if entry.redacted:
            return None
        ttl_ms = self.ttl_ms
        if ttl_ms is not None:
            ttl_ms -= self.core.backend.now_ms() - to_ms(entry.time)
            if ttl_ms <= 0:
                return None
        message = entry.message
        text = self.remember(message)
        if inspect.isawaitable(text):
            text = await text
        if text is None or not text.strip():
            return None
        session_id = record.session_id
        return NewMemory(
            layout.id_of_entry(session_id, entry.id),
            text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…",
            {"role": message.role, "session_id": session_id},
            MemorySource(session_id, entry.seq, entry.id, record.incarnation, until(self.core, record)),
            entry.time,
            ttl_ms,
            self.forget_on_expiry,
        )

    @staticmethod
    def _create(there: ReadResult) -> Create:
        return Create(kind=layout.KIND, keep_existing=there.record is not None)


@dataclass(frozen=True, slots=True)
class _Step:
    """What came of a page after which there may be more.

    Attributes:
        remembered: so much.
        is_late: somebody else was faster.
    """

    remembered: int = 0
    is_late: bool = False


def _expected(there: ReadResult) -> Expected | None:
    """That the scope was not forgotten as a whole since."""
    return None if there.record is None else Expected(incarnation=there.record.incarnation)


async def behind(core: StoreCore, record_id: str, sessions: Iterable[Session]) -> list[str]:
    """Ids of the sessions in which something was said or taken back since they were followed."""
    some = list(sessions)
    names = {layout.followed_name(each.id): each for each in some}
    values = (await core.read(ReadPlan(record_id, names=tuple(names)))).values if names else ()
    known = {each.name: Followed.from_dict(core.coding.decode_value(record_id, each)) for each in values}
    return [each.id for name, each in names.items() if _is_behind(known.get(name), each)]


def _is_behind(followed: Followed | None, session: Session) -> bool:
    if followed is None:
        return session.position.seq() > 0
    if followed.gone and followed.incarnation == session.incarnation:
        return False
    is_of = followed.is_of(session.incarnation, session.epoch)
    return not is_of or session.position.seq() > followed.after
