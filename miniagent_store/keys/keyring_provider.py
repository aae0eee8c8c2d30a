"""A keyring as a key service: wraps data keys by AES-256-GCM in this process."""

from __future__ import annotations

import os
from typing import Any

from miniagent_store.errors import KeyNotFoundError, MissingExtraError, TamperedError
from miniagent_store.keys.key import Key
from miniagent_store.keys.keyring import Keyring
from miniagent_store.keys.provider import WrappedKey

_NONCE_SIZE = 12


class KeyringProvider:
    """A `KeyProvider` whose keys are those of a keyring; key ids are the keyring's, in hex.

    Args:
        keyring: its primary key wraps, all of them unwrap.

    Raises:
        MissingExtraError: `cryptography` is not installed.
    """

    def __init__(self, keyring: Keyring) -> None:
        try:
            import cryptography  # noqa: F401
        except ImportError:
            missing = True
        else:
            missing = False
        if missing:
            raise MissingExtraError("shred=true", package="cryptography", extra="crypto")
        self.keyring = keyring

    async def primary(self) -> str:
        return self.keyring.primary.id.hex()

    async def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        key = self.keyring.primary
        nonce = os.urandom(_NONCE_SIZE)
        return WrappedKey(key.id.hex(), nonce + _cipher(key).encrypt(nonce, data_key, context))

    async def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        key = self.keyring.find(self._id_of(wrapped))
        nonce, body = wrapped.data[:_NONCE_SIZE], wrapped.data[_NONCE_SIZE:]
        try:
            data_key: bytes = _cipher(key).decrypt(nonce, body, context)
        except (InvalidTag, ValueError):
            pass
        else:
            return data_key
        raise TamperedError(
            "tampered",
            key_id=wrapped.key_id,
            detail="the session's data key was modified, moved from another session, or wrapped by "
            "another key; restore the session from a backup",
        )

    def _id_of(self, wrapped: WrappedKey) -> bytes:
        try:
            key_id = bytes.fromhex(wrapped.key_id)
        except ValueError:
            key_id = b""
        # Not in capitals either: one key has one name.
        if key_id and key_id.hex() == wrapped.key_id:
            return key_id
        # Another key service wrapped it.
        raise KeyNotFoundError(key_id=wrapped.key_id, known=[key.id.hex() for key in self.keyring.keys])


def _cipher(key: Key) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key.derive(b"wrap"))
