"""A batch under a lock with a fence, with a snapshot."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from miniagent_store.backend import Create, Fence, ReadPlan
from miniagent_store.errors import (
    BackendUnavailableError,
    InvalidArgumentError,
    LockLostError,
    OutcomeUnknownError,
    SessionNotFoundError,
    StoreError,
)
from miniagent_store.store.background import Background
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.leases import TURN_TTL, Lease, LeaseHolder
from miniagent_store.store.reading import decode_snapshot, snapshot_plan
from miniagent_store.values import BatchResult, Message, Session, Snapshot


class Turn(Batch):
    """One writer at a time, one atomic commit at the end; nothing after an exception.

    Attributes:
        session: the record when the turn was taken; None if there was none (`create=True`).
        snapshot: all that was read then; None if there was no session.
        history: the messages read then.
    """

    def __init__(
        self,
        core: StoreCore,
        background: Background,
        session_id: str,
        *,
        wait: float = 30,
        last: int | None = None,
        create: Create | None = None,
        commit_id: str | None = None,
    ) -> None:
        super().__init__(core, session_id, create=create, commit_id=commit_id)
        self._plan: ReadPlan = snapshot_plan(
            session_id, last=last, after=None, after_time=None, logs=("messages",), state=None
        )
        self._holder = LeaseHolder(core, background, "turn", session_id, ttl=TURN_TTL, wait=wait)
        self._unanswered: StoreError | None = None
        self.session: Session | None = None
        self.snapshot: Snapshot | None = None
        self.history: list[Message] = []

    @property
    def lease(self) -> Lease:
        """The lock; `turn.lease.lost` tells when to stop."""
        return self._holder.lease

    async def __aenter__(self) -> Self:
        grant = await self._holder.acquire(self._plan, must_exist=self._create is None)
        read = grant.read
        if read is None or read.record is None:
            if self._create is None:
                raise SessionNotFoundError(self.session_id)
        else:
            try:
                self.snapshot = await decode_snapshot(self._core, self._plan, read)
            except BaseException:
                await self._holder.release()
                raise
            self.session = self.snapshot.session
            self.history = self.snapshot.history
        self._fence = Fence(grant.fence, self._holder.lease_owner)
        return self

    async def commit(self, operation: str = "turn") -> BatchResult:
        """Commit what was collected and give the turn back; at most once.

        Raises:
            LockLostError: the turn was lost; nothing was stored.
        """
        if self.result is not None:
            raise InvalidArgumentError("this turn has been committed; take a new one")
        if self.lease.lost:
            raise LockLostError(self.session_id)
        try:
            result = await super().commit(operation)
        except (OutcomeUnknownError, BackendUnavailableError) as error:
            # The backend does not answer; to wait until it has released the turn would only add to that.
            self._unanswered = error
            raise
        # The commit gave the turn back.
        await self._holder.forget()
        return result

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self.result is None and not self._draft.is_empty:
                await self.commit()
        finally:
            if self.result is not None or self._unanswered:
                await self._holder.forget(self._unanswered)
            else:
                await self._holder.release()
