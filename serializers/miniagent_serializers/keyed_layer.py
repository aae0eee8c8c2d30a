"""What layers with keys have in common: a subkey for each session, and the key's id before each value."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from typing import Generic, NoReturn, Self, TypeVar

from miniagent_store.errors import ConfigurationError
from miniagent_store.keys.key import KEY_ID_SIZE, Key
from miniagent_store.keys.source import KeySource
from miniagent_store.serializer import Context

C = TypeVar("C")

TAMPERED = "modified, moved from another place, or key mismatch; restore the value from a backup"
# A subkey is derived in 3 us and takes about 1 KiB with its cipher.
_SUBKEYS = 4096


class SessionSubkeys(Generic[C]):
    """Derives a subkey for each session (or cache key) and layer, and remembers the latest.

    The limit of 2^32 random nonces of a key (NIST SP 800-38D section 8.3) is so a session's, not a store's.

    Args:
        name: the layer's.
        make: what is made of 32 bytes, such as a cipher.
    """

    def __init__(self, name: str, make: Callable[[bytes], C]) -> None:
        self._purpose, self._make = f"subkey/{name}/".encode(), make
        self._remembered = functools.lru_cache(maxsize=_SUBKEYS)(self._derive)

    def of(self, key: Key, context: Context) -> C:
        """What was made for `key` and the session of `context`."""
        return self._remembered(key.secret, context.namespace, context.kind, context.session_id)

    def _derive(self, secret: bytes, *session: str) -> C:
        parts = [part.encode("utf-8", "surrogatepass") for part in session]
        counted = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return self._make(Key(secret).derive(self._purpose + counted))


class LayerWithKeys(Generic[C]):
    """The base of authenticating and encrypting layers."""

    name: str
    authenticated = True

    def __init__(self, keys: KeySource | None = None) -> None:
        self._keys = keys
        self._subkeys: SessionSubkeys[C] = SessionSubkeys(self.name, self.make)

    @abstractmethod
    def make(self, subkey: bytes) -> C:
        """What works with a subkey of 32 bytes."""
        ...

    def with_keys(self, keys: KeySource) -> Self:
        """The same layer with keys."""
        return type(self)(keys)

    def sealing(self, context: Context) -> tuple[bytes, C]:
        """The id of the key to write with, and what works with its subkey."""
        key = (self._keys or self._missing()).sealing_key(context)
        return key.id, self._subkeys.of(key, context)

    def opening(self, params: bytes, context: Context) -> C:
        """What works with the subkey that the parameters name.

        Raises:
            KeyNotFoundError: the key is not here.
        """
        key = (self._keys or self._missing()).opening_key(params[:KEY_ID_SIZE], context)
        return self._subkeys.of(key, context)

    def _missing(self) -> NoReturn:
        raise ConfigurationError(f"the layer {self.name!r} was given no keys; name them with keys=")
