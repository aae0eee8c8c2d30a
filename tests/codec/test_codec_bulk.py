"""Many values read at once are those that are read one by one, and any damage among them is noticed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import msgpack
import pytest
from codec_support import PlainRegistry, make_codec, nested, values
from hypothesis import given, settings
from hypothesis import strategies as st

from miniagent_store.codec.codec import Codec
from miniagent_store.errors import SerializationError
from miniagent_store.keys.key import Key
from miniagent_store.keys.keyring import Keyring
from miniagent_store.serializer import Context, Limits

PLACE = Context("ns", "session", "s", "entry", "messages")
KEYS = Keyring([Key(bytes(range(32)), "new"), Key(bytes(range(1, 33)), "old")])
CHAINS = (
    "msgpack",
    "orjson",
    "json",
    "msgpack+zstd",
    "msgpack+zlib",
    "msgpack+hmac",
    "msgpack+aesgcm",
    "orjson+zstd+chacha",
)
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "x" * 400, "n": 1, "f": 0.5, "none": None, "yes": True},
    {"role": "tool", "content": [{"type": "text", "text": "ü"}], "metadata": {"deep": [[1], {}]}},
    {},
]


def codec_of(chain: str, keys: Keyring = KEYS) -> Codec:
    return make_codec(chain, keys=keys)


def ids_of(count: int) -> list[bytes]:
    return [bytes([at]) * 12 for at in range(count)]


def encoded(codec: Codec, messages: Sequence[Any], before: bytes = b"") -> list[bytes]:
    """What stands in a log; each with other bytes before it, as a backend may have them."""
    ids = ids_of(len(messages))
    return [
        before + codec.encode(message, replace(PLACE, entry_id=entry_id))
        for message, entry_id in zip(messages, ids, strict=True)
    ]


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("before", [b"", b"\xc1head"])
def test_many_values_come_back(chain: str, before: bytes) -> None:
    codec = codec_of(chain)
    data = encoded(codec, MESSAGES, before)

    assert codec.decode_all(data, len(before), PLACE, ids_of(4)) == MESSAGES
    for at, message in enumerate(MESSAGES):
        assert codec.decode_all([data[at]], len(before), PLACE, [ids_of(4)[at]]) == [message]


@pytest.mark.parametrize("chain", CHAINS)
def test_every_flipped_bit_is_noticed_in_whichever_value(chain: str) -> None:
    codec = codec_of(chain)
    data = encoded(codec, [MESSAGES[0], MESSAGES[2], MESSAGES[0]])

    for at, blob in enumerate(data):
        for bit in range(len(blob) * 8):
            damaged = bytearray(blob)
            damaged[bit // 8] ^= 1 << bit % 8
            some = [*data[:at], bytes(damaged), *data[at + 1 :]]
            assert codec.decode_all(some, 0, PLACE, ids_of(3)) is None, (at, bit)


@pytest.mark.parametrize("chain", CHAINS)
def test_every_cut_and_every_extra_byte_is_noticed_in_whichever_value(chain: str) -> None:
    codec = codec_of(chain)
    data = encoded(codec, [MESSAGES[0], MESSAGES[2], MESSAGES[0]], b"head")

    for at, blob in enumerate(data):
        for changed in [*(blob[:size] for size in range(len(blob))), blob + b"\x00"]:
            some = [*data[:at], changed, *data[at + 1 :]]
            assert codec.decode_all(some, 4, PLACE, ids_of(3)) is None, (at, len(changed))


def test_two_changes_do_not_cancel_each_other() -> None:
    codec = codec_of("msgpack")
    data = encoded(codec, [{"role": "user", "content": str(number)} for number in range(8)])

    for one in range(8):
        for other in range(one):
            # Their checksums exchanged, and the same bit flipped in both.
            ends = data[one][-4:], data[other][-4:]
            some = list(data)
            some[one], some[other] = data[one][:-4] + ends[1], data[other][:-4] + ends[0]
            assert codec.decode_all(some, 0, PLACE, ids_of(8)) is None
            for at in (one, other):
                some[at] = data[at][:-6] + bytes([data[at][-6] ^ 1]) + data[at][-5:]
            assert codec.decode_all(some, 0, PLACE, ids_of(8)) is None


@pytest.mark.parametrize("chain", ["msgpack+hmac", "msgpack+aesgcm", "orjson+zstd+chacha"])
def test_a_value_in_another_place_is_noticed(chain: str) -> None:
    codec = codec_of(chain)
    data, ids = encoded(codec, MESSAGES), ids_of(4)

    assert codec.decode_all([data[1], data[0], *data[2:]], 0, PLACE, ids) is None
    for other in (
        replace(PLACE, session_id="other"),
        replace(PLACE, log="events"),
        replace(PLACE, namespace=""),
        replace(PLACE, field="metadata"),
    ):
        assert codec.decode_all(data, 0, other, ids) is None


def test_values_under_two_keys_are_left_to_the_long_way() -> None:
    new = codec_of("msgpack+aesgcm")
    old = codec_of("msgpack+aesgcm", Keyring(KEYS.keys, "old"))
    data = [*encoded(new, MESSAGES)[:2], *encoded(old, MESSAGES)[2:]]

    assert new.decode_all(data, 0, PLACE, ids_of(4)) is None
    assert new.decode(data[3], replace(PLACE, entry_id=ids_of(4)[3])) == MESSAGES[3]


@pytest.mark.parametrize(
    "body",
    [
        msgpack.packb({"a": 1}) + msgpack.packb({"b": 2}),
        msgpack.packb({"a": 1}) + b"\xc0",
        msgpack.packb({"a": 1})[:-1],
        msgpack.packb({b"bytes": 1}),
        msgpack.packb({"a": msgpack.ExtType(5, b"x")}),
        msgpack.packb({"a": msgpack.Timestamp(1)}),
        msgpack.packb({"a": [msgpack.Timestamp(1)]}),
        msgpack.packb({"a": {b"bytes": 1}}),
        msgpack.packb({"a": nested(200)}),
        b"\x81\xa1a\xa1\xff",
        b"",
    ],
)
def test_what_no_codec_of_ours_writes_is_noticed_behind_a_right_checksum(body: bytes) -> None:
    codec = codec_of("msgpack")
    head = b"\xc1\x22\x02\x1f" + body
    forged = head + crc32(head).to_bytes(4, "big")
    data = encoded(codec, MESSAGES)

    assert codec.decode_all([*data[:3], forged], 0, PLACE, ids_of(4)) is None
    with pytest.raises(SerializationError):
        codec.decode(forged, PLACE)


@pytest.mark.parametrize("value", [[1, 2], "text", None])
def test_what_is_no_mapping_is_left_to_the_long_way(value: Any) -> None:
    codec = codec_of("msgpack")

    assert codec.decode_all(encoded(codec, [*MESSAGES, value]), 0, PLACE, ids_of(5)) is None


def test_a_value_with_types_of_its_own_is_left_to_the_long_way() -> None:
    codec = codec_of("msgpack")
    data = encoded(codec, [*MESSAGES, {"role": "user", "time": datetime(2026, 1, 1, tzinfo=UTC)}])

    assert codec.decode_all(data, 0, PLACE, ids_of(5)) is None


def test_values_deeper_or_larger_than_the_limits_are_left_to_the_long_way() -> None:
    codec = codec_of("msgpack")
    data = encoded(codec, [{"a": nested(20)}, {"b": "x" * 1000}])
    registry = PlainRegistry()

    for limits in (Limits(depth=10), Limits(encoded=500), Limits(decoded=500)):
        limited = Codec(codec.chain, registry=registry, limits=limits)
        assert limited.decode_all(data, 0, PLACE, ids_of(2)) is None
    assert codec.decode_all(data, 0, PLACE, ids_of(2)) is not None


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.text(), values), min_size=1, max_size=5), st.sampled_from(CHAINS))
def test_what_is_read_at_once_is_what_is_read_one_by_one(messages: list[Any], chain: str) -> None:
    codec = codec_of(chain)
    ids = [os.urandom(12) for _ in messages]
    data = [
        codec.encode(message, replace(PLACE, entry_id=entry_id))
        for message, entry_id in zip(messages, ids, strict=True)
    ]

    read = codec.decode_all(data, 0, PLACE, ids)
    if read is not None:
        one_by_one = [
            codec.decode(blob, replace(PLACE, entry_id=entry_id))
            for blob, entry_id in zip(data, ids, strict=True)
        ]
        assert repr(read) == repr(one_by_one)
