"""Encryption that notices every change: AES-256-GCM, AES-256-GCM-SIV and ChaCha20-Poly1305.

Parameters: key id (4 bytes) and a random nonce (12 bytes). Body: ciphertext and tag (16 bytes). What is
authenticated besides is the header, the key id, and the place of the value.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV, ChaCha20Poly1305

from miniagent_serializers.keyed_layer import TAMPERED, LayerWithKeys
from miniagent_store.errors import TamperedError
from miniagent_store.keys.key import KEY_ID_SIZE
from miniagent_store.serializer import Context, LayerKind, Limits, counted

_NONCE_SIZE = 12


class AeadLayer(LayerWithKeys[Any]):
    """The base of the three; a subclass names its cipher."""

    kind: LayerKind = "encrypt"
    params_size = KEY_ID_SIZE + _NONCE_SIZE

    def encode(self, data: bytes, context: Context, header: bytes) -> tuple[bytes, bytes]:
        key_id, cipher = self.sealing(context)
        # From the operating system each time: a generator of our own would repeat itself after a fork.
        nonce = os.urandom(_NONCE_SIZE)
        return key_id + nonce, cipher.encrypt(nonce, data, context.authenticated(header + key_id))

    def sealer_at(
        self, context: Context, header: bytes, count: int
    ) -> Callable[[bytes, bytes | None], bytes]:
        """What makes whole envelopes with this header from data and the id of the entry that holds it."""
        start, cipher, authenticated = self.beginning(context, header)
        encrypt = cipher.encrypt
        # At once for all, to be used at once; beyond them there is none, and the cipher refuses.
        random, used = os.urandom(_NONCE_SIZE * count), 0

        def seal(data: bytes, entry_id: bytes | None) -> bytes:
            nonlocal used
            nonce = random[used : used + _NONCE_SIZE]
            used += _NONCE_SIZE
            return start + nonce + encrypt(nonce, data, authenticated + counted(entry_id))  # type: ignore[no-any-return]

        return seal

    def decode(self, params: bytes, body: bytes, context: Context, header: bytes, limits: Limits) -> bytes:
        cipher, key_id = self.opening(params, context), params[:KEY_ID_SIZE]
        try:
            data: bytes = cipher.decrypt(params[KEY_ID_SIZE:], body, context.authenticated(header + key_id))
        except InvalidTag:
            pass
        else:
            return data
        raise TamperedError("tampered", codec=self.name, key_id=key_id.hex(), detail=TAMPERED)

    def open_all(
        self, envelopes: Sequence[bytes], start: int, header: bytes, context: Context, ids: Sequence[bytes]
    ) -> list[bytes]:
        """The data of many entries of one log whose envelopes have the same header and key.

        Args:
            envelopes, start, header, context, ids: as `opening_all` takes them.

        Raises:
            InvalidTag, ValueError, KeyNotFoundError: one of them cannot be read.
        """
        cipher, places = self.opening_all(envelopes, start, header, context, ids)
        nonce_at = start + len(header) + KEY_ID_SIZE
        nonces = map(itemgetter(slice(nonce_at, nonce_at + _NONCE_SIZE)), envelopes)
        bodies = map(itemgetter(slice(nonce_at + _NONCE_SIZE, None)), envelopes)
        return list(map(cipher.decrypt, nonces, bodies, places))


class AesGcmLayer(AeadLayer):
    """AES-256-GCM: the fastest where the processor has AES instructions."""

    name = "aesgcm"
    wire_id: int | None = 0x21

    def make(self, subkey: bytes) -> Any:
        return AESGCM(subkey)


class AesGcmSivLayer(AeadLayer):
    """AES-256-GCM-SIV (RFC 8452): a nonce used twice would only tell that two values are equal."""

    name = "gcmsiv"
    wire_id: int | None = 0x22

    def make(self, subkey: bytes) -> Any:
        return AESGCMSIV(subkey)


class ChaChaLayer(AeadLayer):
    """ChaCha20-Poly1305 (RFC 8439): fast and of constant time without AES instructions."""

    name = "chacha"
    wire_id: int | None = 0x23

    def make(self, subkey: bytes) -> Any:
        return ChaCha20Poly1305(subkey)
