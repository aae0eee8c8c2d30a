from __future__ import annotations

import zlib
from typing import Any

import pytest
from codec_support import COMPRESSORS, CONTEXT, EXAMPLE, SERIALIZERS, PlainRegistry, make_codec

from miniagent_store.errors import DecodeError, SerializationError
from miniagent_store.serializer import Context

CHAINS = (
    *SERIALIZERS,
    *(f"{name}+{layer}" for name in SERIALIZERS for layer in COMPRESSORS),
    "json+toyseal",
    "msgpack+toyzip+toyseal",
    "msgpack+zstd+toyseal",
)


def blob_of(chain: str, value: Any = EXAMPLE) -> bytes:
    return make_codec(chain).encode(value, CONTEXT)


@pytest.mark.parametrize("chain", CHAINS)
def test_every_flipped_bit_is_noticed(chain: str) -> None:
    codec, blob = make_codec(chain), blob_of(chain)

    for bit in range(len(blob) * 8):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SerializationError):
            codec.decode(bytes(damaged), CONTEXT)


@pytest.mark.parametrize("chain", CHAINS)
def test_every_cut_and_every_extra_byte_is_noticed(chain: str) -> None:
    codec, blob = make_codec(chain), blob_of(chain)

    for size in range(len(blob)):
        with pytest.raises(SerializationError):
            codec.decode(blob[:size], CONTEXT)
    with pytest.raises(SerializationError):
        codec.decode(blob + b"\x00", CONTEXT)


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (b"", "truncated"),
        (b"\xc1", "truncated"),
        (b"\xc1\x22", "truncated"),
        (b"\xc1\x22\x02", "truncated"),
        (b"\xc1\x22\xff", "truncated"),
        (b"\xc1\x22\xff\x05abc", "truncated"),
        (b"\xc1\x22\x02\x1fabc", "truncated"),
        (b'{"role": "user"}', "not an envelope"),
        (b"\x80\x04N.", "not an envelope"),
        (b"\xc1\x42\x02\x1f", "unsupported version"),
        (b"\xc1\x20", "corrupt"),
        (b"\xc1\x22\x00\x1f", "corrupt"),
        (b"\xc1\x22\xff\x03A/B\x1f", "corrupt"),
        (b"\xc1\x22\x1f\x1f", "corrupt"),
        (b"\xc1\x22\x02\x02", "corrupt"),
        (b"\xc1\x22\x05\x1f", "unknown codec"),
        (b"\xc1\x23\x02\x12\x1f", "unknown codec"),
        (b"\xc1\x22\xff\x04nope\x1f", "unknown codec"),
        (b"\xc1\x21\x02\x01", "codec not allowed"),
        (b"\xc1\x23\x02\x1f\x90\x01", "codec not allowed"),
    ],
)
def test_what_is_wrong_with_a_header_is_named(blob: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        make_codec("msgpack").decode(blob, CONTEXT)

    assert caught.value.reason == reason
    assert caught.value.context == "session 's1' (log 'messages')"


def test_an_unknown_codec_says_what_to_install() -> None:
    with pytest.raises(DecodeError, match=r"it is zstd; run: pip install 'miniagent-store\[zstd\]'"):
        make_codec("msgpack", registry=PlainRegistry(without=["zstd"])).decode(
            b"\xc1\x23\x02\x11\x1f", CONTEXT
        )
    with pytest.raises(DecodeError, match="the plugin that brings the codec named 'nope'"):
        make_codec("msgpack").decode(b"\xc1\x22\xff\x04nope\x1f", CONTEXT)


def sealed(header: bytes, payload: bytes) -> bytes:
    return header + payload + zlib.crc32(payload, zlib.crc32(header)).to_bytes(4, "big")


JSON_TAGGED, JSON_PLAIN = b"\xc1\x32\x01\x1f", b"\xc1\x22\x01\x1f"
MSGPACK_TAGGED, MSGPACK_PLAIN = b"\xc1\x32\x02\x1f", b"\xc1\x22\x02\x1f"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"$t":"later","v":1}', "unknown tag"),
        (b'{"$t":"uuid"}', "corrupt"),
        (b'{"$t":"uuid","v":"x"}', "corrupt"),
        (b'{"$t":"uuid","v":{"$t":"uuid","v":1}}', "corrupt"),
        (b'{"$t":"uuid","v":1,"w":2}', "corrupt"),
        (b'{"$t":["uuid"],"v":1}', "corrupt"),
        (b'{"$t":"int","v":"ff"}', "corrupt"),
        (b'{"$t":"int","v":"0x1ffffffffffffffffffff"}', "corrupt"),
        (b'{"$t":"float","v":"1.5"}', "corrupt"),
        (b'{"$t":"decimal","v":[0,[1],2]}', "corrupt"),
        (b'{"$t":"decimal","v":" 1"}', "corrupt"),
        (b'{"$t":"bytes","v":"AA"}', "corrupt"),
        (b'{"$t":"bytes","v":"!!!!"}', "corrupt"),
        (b'{"$t":"date","v":"2026-13-01"}', "corrupt"),
        (b'{"$t":"datetime","v":["2026-01-01T00:00:00+01:00",0,null]}', "corrupt"),
        (b'{"$t":"datetime","v":["2026-01-01T00:00:00",2,null]}', "corrupt"),
        (b'{"$t":"datetime","v":["2026-01-01T00:00:00",0,[86400000000]]}', "corrupt"),
        (b'{"$t":"datetime","v":["2026-01-01T00:00:00",0,"Moon/Base"]}', "unknown time zone"),
        (b'{"$t":"datetime","v":["2026-01-01T00:00:00",0,"../../etc/passwd"]}', "unknown time zone"),
        (b'{"$t":"timedelta","v":[1e300,0,0]}', "corrupt"),
        (b'{"$t":"set","v":[[]]}', "corrupt"),
        (b'{"$t":"set","v":[1,1.0]}', "corrupt"),
        (b'{"$t":"set","v":{"a":1}}', "corrupt"),
        (b'{"$t":"map","v":[[1,2],[1,3]]}', "corrupt"),
        (b'{"$t":"map","v":[[{},2]]}', "corrupt"),
        (b'{"$t":"map","v":[[1,2,3]]}', "corrupt"),
        (b'{"$t":"object","v":{"n":"os.system","f":{}}}', "type not registered"),
        (b'{"$t":"object","v":{"n":1,"f":{}}}', "corrupt"),
        (b'{"$t":"object","v":{"n":"a","f":[]}}', "corrupt"),
        (b'{"$t":"object","v":[]}', "corrupt"),
        (b"[NaN]", "corrupt"),
        (b"[" * 90 + b'{"$t":"tuple","v":' * 90 + b"[]" + b"}" * 90 + b"]" * 90, "corrupt"),
        (b"[" * 300 + b"]" * 300, "too deep"),
        (b"[" * 200_000, None),
    ],
)
@pytest.mark.parametrize("name", ["json", "orjson"])
def test_hostile_tags_are_refused(name: str, payload: bytes, reason: str | None) -> None:
    with pytest.raises(DecodeError) as caught:
        make_codec(name).decode(sealed(JSON_TAGGED, payload), CONTEXT)

    assert reason is None or caught.value.reason == reason


@pytest.mark.parametrize("header", [MSGPACK_TAGGED, MSGPACK_PLAIN])
@pytest.mark.parametrize(
    "payload",
    [
        b"\xc1",
        b"\x81\x01\x02",  # an int as key
        b"\x81\xc4\x01a\x02",  # bytes as key
        b"\xd6\xff\x00\x00\x00\x00",  # a timestamp
        b"\x91\xd6\xff\x00\x00\x00\x00",
        b"\xd4\x05\x00",  # an extension type
        b"\xa1\xff",  # a str that is not UTF-8
        b"\x01\x02",  # more than one value
        b"\xdd\xff\xff\xff\xff",  # a list of 2^32 - 1
        b"\x91" * 300 + b"\x90",
        b"",
    ],
)
def test_msgpack_outside_of_the_model_is_refused(header: bytes, payload: bytes) -> None:
    with pytest.raises(DecodeError):
        make_codec("msgpack").decode(sealed(header, payload), CONTEXT)


@pytest.mark.parametrize("name", ["json", "orjson"])
def test_without_the_tag_flag_a_tag_is_only_a_dict(name: str) -> None:
    blob = sealed(JSON_PLAIN, b'{"$t":"uuid","v":"x"}')

    assert make_codec(name).decode(blob, CONTEXT) == {"$t": "uuid", "v": "x"}


def test_a_sealed_value_is_bound_to_its_place_and_a_checked_one_is_not() -> None:
    moved = Context("app", "session", "s2", "entry", "messages", b"\x01" * 16)
    checked, bound = make_codec("msgpack"), make_codec("msgpack+toyseal")

    assert (checked.bound, bound.bound) == (False, True)
    assert checked.decode(checked.encode([1], CONTEXT), moved) == [1]
    with pytest.raises(SerializationError, match="moved from another place"):
        bound.decode(bound.encode([1], CONTEXT), moved)
