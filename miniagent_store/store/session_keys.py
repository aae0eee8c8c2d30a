"""The data keys of sessions: fetched before values are encoded and decoded, made with their sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

from miniagent_store.backend import Backend, Create, Expected, ReadPlan, Record, Rewrite
from miniagent_store.errors import SessionNotFoundError
from miniagent_store.keys.data_keys import CACHE_OWNER, DESTROYED, DataKeys
from miniagent_store.keys.key import Key
from miniagent_store.keys.keyring import Keyring
from miniagent_store.keys.provider import KeyProvider
from miniagent_store.store.retrying import Retrying

R = TypeVar("R")
C = TypeVar("C", Create, Create | None)


@dataclass(frozen=True, slots=True)
class Sealing:
    """How the values of one commit are encoded, and what must hold for them to be readable.

    Attributes:
        key: the session's data key; None where it has none.
        packed: how a session that this commit makes keeps the key.
        incarnation: of the session that the key belongs to; None for one that this commit makes.
    """

    key: Key | None = None
    packed: bytes = b""
    incarnation: str | None = None

    def create(self, create: C, metadata: bytes) -> C:
        """`create` with metadata, and with the data key if there is one.

        Then strictly, since the key is not that of a session which is there.
        """
        if not isinstance(create, Create) or not (self.packed or metadata):
            return create
        if not self.packed:
            return replace(create, metadata=metadata)
        return replace(create, metadata=metadata, keep_existing=False, data_key=self.packed)

    def expected(self, expected: Expected | None) -> Expected | None:
        """`expected`, and that the session is the one whose key was used."""
        if self.incarnation is None or (expected is not None and expected.incarnation is not None):
            return expected
        return replace(expected or Expected(), incarnation=self.incarnation)


_WITHOUT_A_DATA_KEY = Sealing()


class SessionKeys:
    """What a store does about data keys; nothing at all where it has no keys.

    Args:
        keys: the keys; None for none.
        backend: where records are.
        retrying: tries again while the backend or the key service is away.
    """

    def __init__(self, keys: DataKeys | None, backend: Backend, retrying: Retrying) -> None:
        self._keys, self._backend, self._retrying = keys, backend, retrying

    @property
    def source(self) -> Keyring | KeyProvider | None:
        """Where keys come from; None where there are none."""
        return None if self._keys is None else self._keys.given

    def concern(self, session_id: str) -> bool:
        """Whether values of a session have, or are to have, a data key."""
        keys = self._keys
        return keys is not None and (keys.per_session or keys.held(session_id) is not None)

    def sealing(self, session_id: str, sealing: Sealing) -> AbstractContextManager[None]:
        """Encode with the key of `sealing` inside the block, which must not await anything."""
        if self._keys is None or sealing.key is None:
            return nullcontext()
        return self._keys.sealing(session_id, sealing.key)

    async def learn(self, *records: Record | None) -> None:
        """Fetch what is needed to decode what these records' sessions hold.

        Raises:
            KeyNotFoundError, CryptoError, KeyProviderError: a data key cannot be had.
        """
        keys = self._keys
        if keys is None:
            return
        for record in records:
            if record is not None and (record.data_key or keys.held(record.session_id) is not None):
                await self._ask(
                    record.session_id, keys.learn, record.session_id, record.data_key, record.incarnation
                )

    async def prepare(self, session_id: str, create: Create | None) -> Sealing:
        """How to encode values for a session, which may be missing if there is `create`.

        Raises:
            CryptoError, KeyProviderError: its data key cannot be had, or was destroyed.
        """
        keys = self._keys
        if keys is None:
            return _WITHOUT_A_DATA_KEY
        held = keys.held(session_id)
        if held is None and keys.per_session:
            record = await self._record(session_id)
            if record is None:
                key, packed = await self._ask(session_id, keys.make, session_id)
                return Sealing(key, packed if create is not None else b"")
            if not record.data_key:
                await self._give_key(record)
            held = keys.held(session_id)
            if held is None:
                # Gone between two steps: what is there now is looked at again.
                return await self.prepare(session_id, create)
        if held is None:
            return _WITHOUT_A_DATA_KEY
        return Sealing(held.the_key(), incarnation=held.incarnation)

    async def fresh(self, session_id: str) -> Sealing:
        """How to encode values for a session that is put together out of sight, whatever stands there.

        Raises:
            KeyProviderError: a data key cannot be had.
        """
        keys = self._keys
        if keys is None:
            return _WITHOUT_A_DATA_KEY
        sealing = _WITHOUT_A_DATA_KEY
        if keys.per_session:
            sealing = Sealing(*await self._ask(session_id, keys.make, session_id))
        keys.forget(session_id)
        return sealing

    def wants_cache_key(self) -> bool:
        """Whether cached values have a data key that was not fetched yet."""
        keys = self._keys
        return keys is not None and keys.per_session and keys.held(CACHE_OWNER) is None

    def remember(self, sealing: Sealing, record: Record) -> None:
        """A session was made with the key of `sealing`, if the record says so."""
        made = sealing.packed != b"" and record.data_key == sealing.packed
        if made and self._keys is not None and sealing.key is not None:
            self._keys.remember(record.session_id, record.data_key, record.incarnation, sealing.key)

    def forget_all(self) -> None:
        """No session is known to be what it was."""
        if self._keys is not None:
            self._keys.forget_all()

    def forget(self, session_id: str) -> None:
        """What was known of a session no longer holds."""
        if self._keys is not None:
            self._keys.forget(session_id)

    def data_key_id(self, session_id: str) -> str | None:
        """The id of a session's data key, in hex, if it has one and was met lately."""
        held = None if self._keys is None else self._keys.held(session_id)
        return None if held is None or held.key is None else held.key.id.hex()

    async def destroy(self, session_id: str) -> bool:
        """Destroy a session's data key, whether or not it can be unwrapped; whether it had one.

        Raises:
            SessionNotFoundError: there is no such session.
        """
        record = await self._read(session_id)
        if record is None:
            raise SessionNotFoundError(session_id)
        incarnation, destroyed = record.incarnation, False
        # A rotation may wrap it anew under our hands: it is destroyed when that is what stands.
        while record is not None and record.incarnation == incarnation and record.data_key:
            if record.data_key == DESTROYED:
                break
            await self._rewrite(
                "shred", Rewrite(session_id, incarnation, data_key=(record.data_key, DESTROYED))
            )
            destroyed, record = True, await self._read(session_id)
        self.forget(session_id)
        return destroyed

    async def rewrap(self, record: Record) -> bytes | None:
        """How a session should keep its data key now; None if that is how it does, or if there are no keys.

        Raises:
            KeyNotFoundError, CryptoError, KeyProviderError: it cannot be unwrapped or wrapped.
        """
        if self._keys is None:
            return None
        return await self._ask(record.session_id, self._keys.rewrap, record.session_id, record.data_key)

    async def _give_key(self, record: Record) -> None:
        """Give a session from before the time of data keys one; what it holds is readable as before."""
        keys = self._keys
        assert keys is not None
        _, packed = await self._ask(record.session_id, keys.make, record.session_id)
        change = Rewrite(record.session_id, record.incarnation, data_key=(b"", packed))
        await self._rewrite("keys", change)
        # Another instance may have been first: what stands counts.
        await self._record(record.session_id)

    async def _rewrite(self, operation: str, change: Rewrite) -> None:
        await self._retrying.attempt(operation, change.session_id, lambda _: self._backend.rewrite(change))

    async def _record(self, session_id: str) -> Record | None:
        record = await self._read(session_id)
        await self.learn(record)
        return record

    async def _read(self, session_id: str) -> Record | None:
        plan = ReadPlan(session_id)
        result = await self._retrying.attempt("read", session_id, lambda _: self._backend.read(plan))
        return result.record

    async def _ask(self, session_id: str, call: Callable[..., Awaitable[R]], *arguments: object) -> R:
        return await self._retrying.attempt("keys", session_id, lambda _: call(*arguments))
