"""Envelope encryption by a key service (a KMS, a vault): a provider of keys as a plugin.

The service wraps the data key of each session and never gives its own key away. It is asked once a
session, not once a message. Here the service is a class in this process; with a real one, `KmsKeyProvider`
calls its client instead, and nothing else changes.

In a package of yours, register the module that holds `provide_key_providers` as an entry point:

    [project.entry-points.miniagent_store]
    example-kms = "yourpackage.kms_key_provider"

Then ``?serializer=encrypted&keys=provider:example-kms`` works on every backend. Without a package, pass the
module with ``open_store(url, plugins=[kms_key_provider])``, as this example does when it is run:

    python examples/kms_key_provider.py
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from miniagent_store import (
    KeyNotFoundError,
    KeyProvider,
    Message,
    Provider,
    TamperedError,
    WrappedKey,
    hookimpl,
    open_store,
)


class KeyService:
    """Stands for the service: it encrypts and decrypts under keys that it keeps to itself."""

    def __init__(self) -> None:
        self._keys: dict[str, AESGCM] = {}
        self.current = ""
        self.rotate()

    def rotate(self) -> None:
        """Make a new key, which encrypts from now on; the older ones still decrypt."""
        self.current = f"example/{len(self._keys) + 1}"
        self._keys[self.current] = AESGCM(AESGCM.generate_key(256))

    def disable(self, key_id: str) -> None:
        """Never use a key again: what it wrapped is lost."""
        del self._keys[key_id]

    @property
    def key_ids(self) -> list[str]:
        return list(self._keys)

    async def encrypt(self, key_id: str, plaintext: bytes, context: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._keys[key_id].encrypt(nonce, plaintext, context)

    async def decrypt(self, key_id: str, ciphertext: bytes, context: bytes) -> bytes:
        return self._keys[key_id].decrypt(ciphertext[:12], ciphertext[12:], context)


class KmsKeyProvider:
    """A `KeyProvider` that asks a key service.

    An outage needs no care here: whatever else the client raises becomes a `KeyProviderError`, which stores
    try again, and none of its text is shown.
    """

    def __init__(self, service: KeyService) -> None:
        self._service = service

    async def primary(self) -> str:
        return self._service.current

    async def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        key_id = self._service.current
        return WrappedKey(key_id, await self._service.encrypt(key_id, data_key, context))

    async def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        if wrapped.key_id not in self._service.key_ids:
            raise KeyNotFoundError(key_id=wrapped.key_id, known=self._service.key_ids)
        try:
            return await self._service.decrypt(wrapped.key_id, wrapped.data, context)
        except (InvalidTag, ValueError):
            pass
        # Outside of the except block, so that the client's error does not come along.
        raise TamperedError(
            "tampered", key_id=wrapped.key_id, detail="the wrapped data key was modified or moved"
        )


SERVICE = KeyService()


@hookimpl
def provide_key_providers() -> list[Provider[Callable[[], KeyProvider]]]:
    return [
        Provider("example-kms", lambda: lambda: KmsKeyProvider(SERVICE), summary="keys of the example KMS")
    ]


async def main() -> None:
    url = "memory://?serializer=encrypted&keys=provider:example-kms"
    async with open_store(url, plugins=[sys.modules[__name__]]) as store:
        await store.append("s1", Message.user("Only the key service can open this."), create=True)
        SERVICE.rotate()
        await store.reencrypt()  # wraps the data keys under the new key; values stay as they are
        SERVICE.disable("example/1")
        for message in await store.history("s1"):
            print(message.content)


if __name__ == "__main__":
    asyncio.run(main())
