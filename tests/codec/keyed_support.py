"""What the tests of layers with keys share: keys, chains, and a codec that has them."""

from __future__ import annotations

import functools
from typing import Any

from codec_support import make_codec

from miniagent_store.keys import Key, Keyring
from miniagent_store.serializer import Context

GOLDEN_KEY = Key(bytes(range(32)), "golden")
OTHER_KEY = Key(bytes(range(1, 33)), "other")
RING = Keyring([GOLDEN_KEY, OTHER_KEY])

CIPHERS = ("aesgcm", "gcmsiv", "chacha")
KEYED_CHAINS = (
    "msgpack+hmac",
    "json+hmac",
    *(f"{serializer}+{cipher}" for serializer in ("msgpack", "orjson") for cipher in CIPHERS),
    "msgpack+hmac+aesgcm",
    "json+crc32+chacha",
    "msgpack+toyzip+hmac+gcmsiv",
)


keyed = functools.partial(make_codec, keys=RING)


class CountingKeys:
    """A key source that notes what it was asked for."""

    def __init__(self, ring: Keyring = RING) -> None:
        self.ring = ring
        self.sealed: list[Context] = []
        self.opened: list[bytes] = []

    def sealing_key(self, context: Context) -> Key:
        self.sealed.append(context)
        return self.ring.sealing_key(context)

    def opening_key(self, key_id: bytes, context: Context) -> Key:
        self.opened.append(key_id)
        return self.ring.opening_key(key_id, context)


class CountingSerializer:
    """Counts how often it reads; a parser that is never reached has read nothing."""

    name = "counted"
    wire_id: int | None = 0x80
    safe = True
    native_bytes = False

    def __init__(self) -> None:
        self.read = 0

    def dumps(self, value: Any, context: Context) -> bytes:
        return b"x" * 300

    def loads(self, data: bytes, context: Context, limits: Any) -> Any:
        self.read += 1
        return [data.decode()]
