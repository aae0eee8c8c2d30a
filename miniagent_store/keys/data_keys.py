"""Data keys: a random key a session, which a key service wraps and the session's record keeps.

Destroying the wrapped key makes the session unreadable, whatever else is left of it, and a key service
has to be asked once a session, not once a value.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from miniagent_store.errors import (
    ConfigurationError,
    CryptoError,
    DecodeError,
    KeyNotFoundError,
    KeyProviderError,
    SerializationError,
    StoreError,
)
from miniagent_store.ids import join_id
from miniagent_store.keys.key import Key
from miniagent_store.keys.keyring import Keyring
from miniagent_store.keys.keyring_provider import KeyringProvider
from miniagent_store.keys.provider import KeyProvider, WrappedKey
from miniagent_store.serializer import Context

R = TypeVar("R")

# Cached values and what is published have no session: their data key stands in a record of its own.
CACHE_OWNER, CACHE_OWNER_KIND = join_id("keys", "cache"), "keys"
DESTROYED = b"\x00"
_REMEMBERED = 16_384


@dataclass(frozen=True, slots=True)
class Held:
    """A data key as it was found on a session; no key if it was destroyed."""

    packed: bytes
    incarnation: str
    key: Key | None

    def the_key(self) -> Key:
        """The key.

        Raises:
            CryptoError: it was destroyed.
        """
        if self.key is None:
            raise CryptoError(
                "shredded",
                detail="the session's data key was destroyed; what it held cannot be read again, delete it",
            )
        return self.key


class DataKeys:
    """Finds the key of each session; a `KeySource`.

    Args:
        keys: a keyring, or a key service.
        namespace: of the store; wrapped keys are bound to it and to their session.
        per_session: whether new sessions get a data key; with a key service they always do.

    Attributes:
        given: the keys or the key service.
    """

    given: Keyring | KeyProvider

    def __init__(self, keys: Keyring | KeyProvider, namespace: str, *, per_session: bool) -> None:
        self._keyring = keys if isinstance(keys, Keyring) else None
        self.per_session: bool = per_session or self._keyring is None
        self.given, self._namespace = keys, namespace
        self._provider: KeyProvider | None = None
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._sealing: tuple[str, Key] | None = None

    @property
    def provider(self) -> KeyProvider:
        """What wraps and unwraps."""
        if self._provider is None:
            self._provider = KeyringProvider(self.given) if isinstance(self.given, Keyring) else self.given
        return self._provider

    # What layers ask

    def sealing_key(self, context: Context) -> Key:
        owner = _owner(context)
        if self._sealing is not None and self._sealing[0] == owner:
            return self._sealing[1]
        held = self._held.get(owner)
        if held is not None:
            return held.the_key()
        if self._keyring is None or self.per_session:
            raise CryptoError("key not found", detail=f"the data key of {owner!r} was not fetched")
        return self._keyring.primary

    def opening_key(self, key_id: bytes, context: Context) -> Key:
        owner = _owner(context)
        held = self._held.get(owner)
        if held is not None and held.the_key().id == key_id:
            return held.the_key()
        if self._sealing is not None and self._sealing[0] == owner and self._sealing[1].id == key_id:
            return self._sealing[1]
        if self._keyring is not None:
            return self._keyring.find(key_id)
        raise KeyNotFoundError(key_id=key_id.hex(), known=[] if held is None else [held.the_key().id.hex()])

    @contextmanager
    def sealing(self, session_id: str, key: Key | None) -> Iterator[None]:
        """Write values of a session with `key` inside the block, which must not await anything.

        So that a key which is not the session's yet is seen by nobody else.
        """
        before, self._sealing = self._sealing, (session_id, key) if key is not None else None
        try:
            yield
        finally:
            self._sealing = before

    # What a store asks

    def held(self, session_id: str) -> Held | None:
        """The data key of a session, if it was met lately."""
        held = self._held.get(session_id)
        if held is not None:
            self._held.move_to_end(session_id)
        return held

    def forget_all(self) -> None:
        """Every session's data key may be another now."""
        self._held.clear()

    def forget(self, session_id: str) -> None:
        """A session's data key may be another now."""
        self._held.pop(session_id, None)

    async def make(self, session_id: str) -> tuple[Key, bytes]:
        """A new data key, and how it is kept.

        Raises:
            KeyProviderError: the key service cannot be reached.
        """
        key = Key.generate("data-key")
        return key, await self._wrap(key, session_id)

    async def learn(self, session_id: str, packed: bytes, incarnation: str) -> None:
        """Take note of how a record keeps its data key; "" if it has none.

        Raises:
            KeyNotFoundError, CryptoError, KeyProviderError: it cannot be unwrapped.
        """
        held = self._held.get(session_id)
        if held is not None and held.packed == packed and held.incarnation == incarnation:
            return
        if not packed:
            self._held.pop(session_id, None)
            return
        key = None if packed == DESTROYED else await self._unwrap(packed, session_id)
        self.remember(session_id, packed, incarnation, key)

    def remember(self, session_id: str, packed: bytes, incarnation: str, key: Key | None) -> None:
        """A session's data key is known; None for one that was destroyed."""
        self._held[session_id] = Held(packed, incarnation, key)
        self._held.move_to_end(session_id)
        while len(self._held) > _REMEMBERED:
            self._held.popitem(last=False)

    async def rewrap(self, session_id: str, packed: bytes) -> bytes | None:
        """How a record should keep its data key now; None if that is how it does.

        Raises:
            KeyNotFoundError, CryptoError, KeyProviderError: it cannot be unwrapped or wrapped.
        """
        if packed == DESTROYED or wrapped_by(packed) == await self._ask(self.provider.primary):
            return None
        return await self._wrap(await self._unwrap(packed, session_id), session_id)

    async def _wrap(self, key: Key, session_id: str) -> bytes:
        wrapped = await self._ask(self.provider.wrap, key.secret, self._place(session_id))
        if not isinstance(wrapped, WrappedKey) or not _is_key_id(wrapped.key_id) or not _fits(wrapped.data):
            raise KeyProviderError(
                "the key provider's wrap() must return a WrappedKey with a key id of 1 to 255 printable "
                "ASCII characters and 1 byte to 64 KiB of data; its plugin is broken"
            )
        name = wrapped.key_id.encode()
        return bytes((len(name),)) + name + wrapped.data

    async def _unwrap(self, packed: bytes, session_id: str) -> Key:
        wrapped = WrappedKey(wrapped_by(packed), packed[1 + packed[0] :])
        secret = await self._ask(
            self.provider.unwrap, wrapped, self._place(session_id), at=f"session {session_id!r} (data key)"
        )
        try:
            return Key(secret, "data-key")
        except ConfigurationError:
            pass
        raise KeyProviderError(
            "the key provider's unwrap() must return the 32 bytes that wrap() was given; "
            "its plugin is broken"
        )

    async def _ask(self, call: Callable[..., Awaitable[R]], *arguments: object, at: str = "") -> R:
        failure: StoreError
        try:
            return await call(*arguments)
        except StoreError as error:
            # What it was raised from may hold keys.
            error.__cause__ = error.__context__ = None
            if isinstance(error, SerializationError) and error.context is None:
                error.context = at or None
            failure = error
        except Exception as error:  # noqa: BLE001 - a stranger's client, whose errors may hold keys
            failure = KeyProviderError(
                f"the key provider failed ({type(error).__name__}); is the key service reachable?"
            )
        # Outside of the except blocks, so that the client's error does not become its __context__.
        raise failure

    def _place(self, session_id: str) -> bytes:
        context = Context(self._namespace, "data-key", session_id, "data-key")
        return context.authenticated(b"")


def wrapped_by(packed: bytes) -> str:
    """Which key of the key service wrapped a data key.

    Raises:
        DecodeError: the bytes are no wrapped key.
    """
    if not packed or len(packed) <= 1 + packed[0]:
        raise DecodeError("truncated", detail="the session's wrapped data key is cut off")
    name = packed[1 : 1 + packed[0]].decode("latin-1")
    if not _is_key_id(name):
        raise DecodeError("corrupt", detail="the session's wrapped data key does not name a key")
    return name


def _is_key_id(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) < 256 and name.isascii() and name.isprintable()


def _fits(data: object) -> bool:
    return isinstance(data, bytes) and 0 < len(data) <= 65_536


def _owner(context: Context) -> str:
    return CACHE_OWNER if context.kind in {"cache", "channel"} else context.session_id
