"""Access to documents by key: what `DocumentBackend` asks of an author, and what it makes of it."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from miniagent_store.backend import CommitIdentity
from miniagent_store.errors import BackendUnavailableError, OutcomeUnknownError, StoreClosedError
from miniagent_store.rules.document_codec import Document, Head, decode_document, decode_head
from miniagent_store.rules.item_codec import Item

T = TypeVar("T")
# What keys start with: of all documents of a namespace, and of those that note which namespaces there are.
KINDS = ("session", "lock", "cache", "rate", "changes")
NOTES = "namespace/"
# For so long a namespace that was noted is taken to be noted.
NOTED_SECONDS = 60.0


class DocumentAccess(ABC):
    """The primitives of an author, and changes of sessions and items in terms of them.

    Args:
        namespace: of the store.
    """

    name: str
    own_namespace: str

    def __init__(self, namespace: str) -> None:
        # Hashed, so that keys are short and safe, and no namespace is the start of another.
        self.own_namespace, self._space = namespace, space_of(namespace)
        self._note_key = f"{NOTES}{self._space}{_digest(namespace)[:48]}"
        # Until when each namespace is taken to be noted.
        self._noted: dict[str, float] = {}
        self._closed = False

    # The primitives

    @abstractmethod
    async def transact(self, key: str, change: Callable[[bytes | None], tuple[bytes | None, T]]) -> T:
        """Change one document, as one atomic step.

        Args:
            key: ``kind/`` and 64 hexadecimal digits: safe as a file or object name anywhere.
            change: given the document's bytes, None if there is none, it returns its new bytes, None to
                remove it, and a result. If it returns the very bytes it was given, nothing need be
                written. It is quick, and may be called again with other bytes; the last call counts.

        Returns:
            The result of `change`, once the new bytes are as durable as `capabilities` says.

        Raises:
            Exception: what `change` raised; nothing is written then.
            OSError: it cannot be done for now; `StoreError`: better words for it.
        """

    @abstractmethod
    async def keys(self, prefix: str) -> list[str]:
        """The keys of all documents that start with `prefix`, which holds the kind and its slash."""

    async def fetch(self, key: str) -> bytes | None:
        """One document's bytes; override it where reading needs no transaction."""
        return await self.transact(key, lambda before: (before, before))

    # Sessions, items and keys

    def _key(self, kind: str, name: str) -> str:
        assert kind in KINDS, "erasing would leave it"
        return f"{kind}/{self._space}{_digest(name)[:48]}"

    async def _keys(self, kind: str) -> list[str]:
        self._check_open()
        try:
            return await self.keys(f"{kind}/{self._space}")
        except OSError as error:
            raise BackendUnavailableError(f"{self.name}: {error}; see what holds its documents") from error

    async def _head(self, key: str) -> Head | None:
        data = await self._fetch(key)
        return None if data is None else decode_head(data, key)

    async def _change(
        self, session_id: str, work: Callable[[Document], T], identity: CommitIdentity | None = None
    ) -> T:
        """Change all that is kept under a session id, in one step."""

        def change(before: bytes | None) -> tuple[bytes | None, T]:
            document = decode_document(before, session_id)
            result = work(document)
            after = document.encode()
            return before if after == before else after, result

        return await self._transact(self._key("session", session_id), change, session_id, identity)

    async def _change_item(
        self, kind: str, name: str, work: Callable[[Item | None], tuple[Item | None, T]]
    ) -> T:
        """Change a lock, a cached value or a count, in one step."""

        def change(before: bytes | None) -> tuple[bytes | None, T]:
            item = Item.decode(before)
            after, result = work(item)
            if after == item:
                return before, result
            return None if after is None else after.encode(), result

        return await self._transact(self._key(kind, name), change)

    async def _transact(
        self,
        key: str,
        change: Callable[[bytes | None], tuple[bytes | None, T]],
        session_id: str = "",
        identity: CommitIdentity | None = None,
        *,
        noted: bool = True,
    ) -> T:
        self._check_open()
        wrote = False

        def watched(before: bytes | None) -> tuple[bytes | None, T]:
            nonlocal wrote
            wrote = False
            after, result = change(before)
            wrote = after is not before
            return after, result

        try:
            if noted:
                await self._note_namespace()
            return await self.transact(key, watched)
        except OSError as error:
            problem = f"{self.name}: {error}"
            if wrote:
                commit_id = None if identity is None else str(identity)
                raise OutcomeUnknownError(session_id or key, commit_id=commit_id, why=problem) from error
            raise BackendUnavailableError(f"{problem}; see what holds its documents") from error

    async def _fetch(self, key: str) -> bytes | None:
        self._check_open()
        try:
            return await self.fetch(key)
        except OSError as error:
            raise BackendUnavailableError(f"{self.name}: {error}; see what holds its documents") from error

    async def _note_namespace(self) -> None:
        """Have it known that there is this namespace, before anything stands in it."""
        if self.own_namespace and time.monotonic() >= self._noted.get(self.own_namespace, 0.0):
            note = Item(self.own_namespace, None, None).encode()
            await self.transact(self._note_key, lambda before: (note if before is None else before, None))
            self._noted[self.own_namespace] = time.monotonic() + NOTED_SECONDS

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosedError(f"this {self.name} backend")


def space_of(namespace: str) -> str:
    """What follows the kind in all keys of a namespace."""
    return _digest(namespace)[:16]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
