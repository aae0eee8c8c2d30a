"""Authentication without encryption: read by whoever reads the backend, changed by nobody without a key."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from operator import itemgetter

from miniagent_serializers.keyed_layer import TAMPERED, LayerWithKeys
from miniagent_store.errors import DecodeError, TamperedError
from miniagent_store.keys.key import KEY_ID_SIZE
from miniagent_store.serializer import Context, LayerKind, Limits, counted

_TAG_SIZE = 32


class HmacLayer(LayerWithKeys[bytes]):
    """HMAC-SHA-256. Parameters: key id. Body: data, then the tag over header, key id, place and data."""

    name = "hmac"
    wire_id: int | None = 0x20
    kind: LayerKind = "integrity"
    params_size = KEY_ID_SIZE

    def make(self, subkey: bytes) -> bytes:
        return subkey

    def encode(self, data: bytes, context: Context, header: bytes) -> tuple[bytes, bytes]:
        key_id, subkey = self.sealing(context)
        return key_id, data + _tag(subkey, context.authenticated(header + key_id), data)

    def sealer_at(
        self, context: Context, header: bytes, count: int
    ) -> Callable[[bytes, bytes | None], bytes]:
        """What makes whole envelopes with this header from data and the id of the entry that holds it."""
        start, subkey, authenticated = self.beginning(context, header)

        def seal(data: bytes, entry_id: bytes | None) -> bytes:
            return start + data + _tag(subkey, authenticated + counted(entry_id), data)

        return seal

    def decode(self, params: bytes, body: bytes, context: Context, header: bytes, limits: Limits) -> bytes:
        if len(body) < _TAG_SIZE:
            raise DecodeError("truncated", codec=self.name, detail="the bytes end within the tag")
        subkey = self.opening(params, context)
        data = body[:-_TAG_SIZE]
        expected = _tag(subkey, context.authenticated(header + params), data)
        if not hmac.compare_digest(expected, body[-_TAG_SIZE:]):
            raise TamperedError(
                "tampered",
                codec=self.name,
                key_id=params.hex(),
                detail=TAMPERED,
            )
        return data

    def open_all(
        self, envelopes: Sequence[bytes], start: int, header: bytes, context: Context, ids: Sequence[bytes]
    ) -> list[bytes]:
        """The data of many entries of one log whose envelopes have the same header and key.

        Args:
            envelopes, start, header, context, ids: as `opening_all` takes them.

        Raises:
            ValueError, KeyNotFoundError: one of them cannot be read.
        """
        subkey, places = self.opening_all(envelopes, start, header, context, ids)
        bodies = list(map(itemgetter(slice(start + len(header) + KEY_ID_SIZE, -_TAG_SIZE)), envelopes))
        for envelope, body, place in zip(envelopes, bodies, places, strict=True):
            if not hmac.compare_digest(_tag(subkey, place, body), envelope[-_TAG_SIZE:]):
                raise ValueError("the tag does not match")
        return bodies


def _tag(subkey: bytes, place: bytes, data: bytes) -> bytes:
    # The place says its own length at the beginning of each part, so it cannot run over into the data.
    return hmac.digest(subkey, len(place).to_bytes(4, "big") + place + data, hashlib.sha256)
