"""A session put together out of sight in another place, and shown there whole or not at all."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator

from miniagent_store.backend import CommitResult, Create, Kept, Record, StagePublish, StageWrite
from miniagent_store.cancellation import to_the_end
from miniagent_store.errors import (
    BackendUnavailableError,
    DecodeError,
    InvalidArgumentError,
    OutcomeUnknownError,
)
from miniagent_store.moving.plain_values import PlainValues
from miniagent_store.moving.whole import WholeSession
from miniagent_store.store.core import StoreCore
from miniagent_store.store.retrying import FIRST_BACKOFF, LAST_BACKOFF
from miniagent_store.store.session_keys import Sealing

_PAGE = 500


class SessionWriter:
    """Writes whole sessions into a store.

    Args:
        core: of the store.
        namespace: of the store that stored values come from.
        sealed: take stored values that this store cannot read, such as encrypted ones without their keys.
    """

    def __init__(self, core: StoreCore, namespace: str, *, sealed: bool = False) -> None:
        self._core, self._namespace, self._sealed = core, namespace, sealed
        self.values: PlainValues = PlainValues(core)

    async def write(
        self, session: WholeSession, *, once_staged: Callable[[], Awaitable[None]] | None = None
    ) -> Record:
        """Make a session what `session` is, with its ids, sequences, versions, times and expiry.

        Its incarnation is a new one.

        Args:
            session: what is to be there.
            once_staged: called when all is ready, just before it is shown, once each try: makes room.

        Raises:
            SessionExistsError: its id is taken; nothing was changed.
            DecodeError, InvalidArgumentError: this store could not read it.
            SessionTooLargeError, BackendUnavailableError, OutcomeUnknownError: as of any commit.
        """
        await self._core.ready()
        sealing = Sealing()
        if session.plain:
            session, sealing = await self.values.closed(session)
        else:
            self._check(session)
        deadline = time.monotonic() + self._core.options.deadline
        delay = FIRST_BACKOFF
        while True:
            stage = secrets.token_hex(8)
            try:
                result = await self._try(session, sealing, stage, once_staged)
            except BackendUnavailableError:
                # The stage is left to its TTL: a part may or may not be there.
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(delay)
                delay = min(delay * 2, LAST_BACKOFF)
                continue
            except BaseException:
                await to_the_end(self._discard(session.id, stage))
                raise
            self._core.keys.remember(sealing, result.record)
            return result.record

    async def _try(
        self,
        session: WholeSession,
        sealing: Sealing,
        stage: str,
        once_staged: Callable[[], Awaitable[None]] | None,
    ) -> CommitResult:
        core, record = self._core, session.record
        for part in _parts(session, stage):
            try:
                await core.backend.stage(part)
            except OutcomeUnknownError as error:
                # Of a part of a stage: nothing is lost with it.
                raise BackendUnavailableError(str(error)) from error
        if once_staged is not None:
            await once_staged()
        create = Create(
            kind=record.kind,
            user_id=record.user_id,
            agent=record.agent,
            tags=record.tags,
            ttl_ms=record.ttl_ms,
            sliding=record.sliding,
            metadata=record.metadata,
            data_key=sealing.packed or record.data_key,
        )
        limit = core.options.max_session_size if record.kind == "session" else None
        bases = {log: tail.base for log, tail in record.logs.items()}
        kept = Kept(record.created_ms, record.last_activity_ms, record.expires_ms, record.epoch)
        time_ms = core.backend.now_ms()
        return await core.publish(
            "import",
            session.id,
            None,
            lambda identity, retry: core.backend.publish(
                StagePublish(
                    session.id, stage, identity, time_ms, create, record.version, bases, limit, retry, kept
                )
            ),
        )

    async def _discard(self, session_id: str, stage: str) -> None:
        try:
            await self._core.backend.discard(session_id, stage)
        except (BackendUnavailableError, OutcomeUnknownError):
            return  # it has a TTL

    def _check(self, session: WholeSession) -> None:
        """Raise if this store could not read what is to be stored as it is."""
        core, theirs = self._core, self._namespace
        bound = bool(session.record.data_key)
        try:
            if bound and core.keys.source is None:
                raise DecodeError("codec not allowed", detail="it has a data key, this store no keys")
            for data in _stored(session):
                bound |= core.coding.codec.check_readable(data)
        except DecodeError as error:
            if not self._sealed:
                raise InvalidArgumentError(
                    f"session {session.id!r}: this store could not read it: {error.detail}; or take it as "
                    "it is, with --sealed"
                ) from error
            bound = True
        if bound and core.options.namespace != theirs:
            raise InvalidArgumentError(
                f"session {session.id!r}: its values can only be read in namespace {theirs!r}, not in "
                f"{core.options.namespace!r}; export them with --plain"
            )


def _parts(session: WholeSession, stage: str) -> Iterator[StageWrite]:
    """What is staged, most often in one part."""
    logs = [(log, entries) for log, entries in session.logs.items() if entries]
    if session.entry_count <= _PAGE:
        yield StageWrite(session.id, stage, tuple(logs), session.values)
        return
    yield StageWrite(session.id, stage, values=session.values)
    for log, entries in logs:
        for start in range(0, len(entries), _PAGE):
            yield StageWrite(session.id, stage, ((log, entries[start : start + _PAGE]),))


def _stored(session: WholeSession) -> Iterator[bytes]:
    if session.record.metadata:
        yield session.record.metadata
    for entries in session.logs.values():
        for entry in entries:
            yield entry.payload
    for value in session.values:
        if value.payload is not None:
            yield value.payload
