"""What layers with keys have in common: a subkey for each session, and the key's id before each value."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Generic, NoReturn, Self, TypeVar

from miniagent_store.errors import ConfigurationError
from miniagent_store.keys.key import KEY_ID_SIZE, Key
from miniagent_store.keys.source import KeySource
from miniagent_store.serializer import Context, counted

C = TypeVar("C")

TAMPERED = "modified, moved from another place, or key mismatch; restore the value from a backup"
# A subkey is derived in 3 us and takes about 1 KiB with its cipher.
_SUBKEYS = 4096


class LayerWithKeys(Generic[C]):
    """The base of authenticating and encrypting layers.

    A subkey is derived for each session (or cache key) and layer, and the latest are remembered. The limit
    of 2^32 random nonces of a key (NIST SP 800-38D section 8.3) is so a session's, not a store's.
    """

    name: str
    authenticated = True

    def __init__(self, keys: KeySource | None = None) -> None:
        self._keys: KeySource = _NoKeys(self.name) if keys is None else keys
        # Called for every value: arguments that hash fast, and nothing of Python around the cache.
        self._cached = functools.lru_cache(maxsize=_SUBKEYS)(self._derive)
        self._begun = functools.lru_cache(maxsize=_SUBKEYS)(self._begin)

    @abstractmethod
    def make(self, subkey: bytes) -> C:
        """What works with a subkey of 32 bytes."""
        ...

    def with_keys(self, keys: KeySource) -> Self:
        """The same layer with keys."""
        return type(self)(keys)

    def sealing(self, context: Context) -> tuple[bytes, C]:
        """The id of the key to write with, and what works with its subkey."""
        key = self._keys.sealing_key(context)
        return key.id, self._cached(key.secret, context.namespace, context.kind, context.session_id)

    def beginning(self, context: Context, header: bytes) -> tuple[bytes, C, bytes]:
        """To write at a place under a header: what envelopes begin with, what works with the subkey, and
        what `Context.authenticated` begins with."""
        key = self._keys.sealing_key(context)
        return self._begun(
            key.secret,
            header + key.id,
            context.namespace,
            context.kind,
            context.session_id,
            context.field,
            context.log,
        )

    def opening(self, params: bytes, context: Context) -> C:
        """What works with the subkey that the parameters name.

        Raises:
            KeyNotFoundError: the key is not here.
        """
        key = self._keys.opening_key(params[:KEY_ID_SIZE], context)
        return self._cached(key.secret, context.namespace, context.kind, context.session_id)

    def opening_all(
        self, envelopes: Sequence[bytes], start: int, header: bytes, context: Context, ids: Sequence[bytes]
    ) -> tuple[C, list[bytes]]:
        """To read many entries of one log: what works with the subkey, and what each authenticates.

        Args:
            envelopes: bytes that end with the envelopes, at least one.
            start: where in each of them its header begins.
            header: of all of them.
            context: their place, but for the ids.
            ids: of the entries.

        Raises:
            KeyNotFoundError: the key is not here.
            ValueError: not all have this header and the same key.
        """
        end = start + len(header) + KEY_ID_SIZE
        begun = envelopes[0][start:end]
        if not begun.startswith(header) or set(map(itemgetter(slice(start, end)), envelopes)) != {begun}:
            raise ValueError("another header, or another key")
        cipher = self.opening(begun[-KEY_ID_SIZE:], context)
        place = context.authenticated_entries(begun)
        return cipher, [place + counted(entry_id) for entry_id in ids]

    def _begin(self, secret: bytes, start: bytes, *place: Any) -> tuple[bytes, C, bytes]:
        return start, self._cached(secret, *place[:3]), Context(*place).authenticated_entries(start)

    def _derive(self, secret: bytes, *session: str) -> C:
        parts = [part.encode("utf-8", "surrogatepass") for part in session]
        counted = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return self.make(Key(secret).derive(f"subkey/{self.name}/".encode() + counted))


class _NoKeys:
    """In the place of keys, where a layer was given none."""

    def __init__(self, layer: str) -> None:
        self._layer = layer

    def sealing_key(self, context: Context) -> NoReturn:
        raise ConfigurationError(f"the layer {self._layer!r} was given no keys; name them with keys=")

    def opening_key(self, key_id: bytes, context: Context) -> NoReturn:
        self.sealing_key(context)
