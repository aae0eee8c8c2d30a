from __future__ import annotations

import collections
import enum
from datetime import datetime, tzinfo
from typing import Any

import pytest
from codec_support import (
    COMPRESSORS,
    CONTEXT,
    EXAMPLE,
    SERIALIZERS,
    make_codec,
    plain_values,
    shape,
    values,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from keyed_support import CIPHERS, keyed

from miniagent_store.codec import Codec
from miniagent_store.errors import EncodeError

CODECS = {name: make_codec(name) for name in SERIALIZERS}
COMPRESSED = {
    chain: make_codec(chain)
    for chain in (f"{name}+{layer}" for name in SERIALIZERS for layer in COMPRESSORS)
}
# Every serializer under every layer with keys, pickle too, and with every compression inside.
KEYED = {
    chain: keyed(chain, allow_pickle=True)
    for chain in (
        f"{name}{compressor}+{layer}"
        for name in (*SERIALIZERS, "pickle")
        for compressor in ("", *(f"+{each}" for each in COMPRESSORS))
        for layer in ("hmac", *CIPHERS)
    )
}
CHAINS = {**CODECS, **COMPRESSED, **KEYED}


@pytest.mark.parametrize("name", SERIALIZERS)
@given(value=values)
@settings(max_examples=250, deadline=None)
def test_every_value_returns_as_it_was(name: str, value: Any) -> None:
    codec = CODECS[name]

    returned = codec.decode(codec.encode(value, CONTEXT), CONTEXT)

    assert shape(returned) == shape(value)


@pytest.mark.parametrize("chain", COMPRESSED)
@given(value=values)
@settings(max_examples=100, deadline=None)
def test_every_value_returns_from_compressed_bytes(chain: str, value: Any) -> None:
    codec, repeated = COMPRESSED[chain], [value, ["what compresses well"] * 32]

    blob = codec.encode(repeated, CONTEXT)

    assert str(codec.describe(blob)).endswith(f"{chain.partition('+')[2]}+crc32")
    assert shape(codec.decode(blob, CONTEXT)) == shape(repeated)


@given(value=values)
@settings(max_examples=150, deadline=None)
def test_every_serializer_gives_the_same_value(value: Any) -> None:
    returned = [codec.decode(codec.encode(value, CONTEXT), CONTEXT) for codec in CODECS.values()]

    assert shape(returned[0]) == shape(returned[1]) == shape(returned[2])


@given(value=values)
@settings(max_examples=150, deadline=None)
def test_json_and_orjson_read_each_other(value: Any) -> None:
    by_json = CODECS["json"].encode(value, CONTEXT)
    by_orjson = CODECS["orjson"].encode(value, CONTEXT)

    assert shape(CODECS["orjson"].decode(by_json, CONTEXT)) == shape(value)
    assert shape(CODECS["json"].decode(by_orjson, CONTEXT)) == shape(value)


@pytest.mark.parametrize("chain", KEYED)
@given(value=values)
@settings(max_examples=60, deadline=None)
def test_every_value_returns_through_layers_with_keys(chain: str, value: Any) -> None:
    codec, place = KEYED[chain], CONTEXT

    assert shape(codec.decode(codec.encode(value, place), place)) == shape(value)


@pytest.mark.parametrize("chain", CHAINS)
def test_one_of_each_type_returns_as_it_was(chain: str) -> None:
    codec = CHAINS[chain]

    assert shape(codec.decode(codec.encode(EXAMPLE, CONTEXT), CONTEXT)) == shape(EXAMPLE)


@pytest.mark.parametrize("name", SERIALIZERS)
@given(value=st.dictionaries(st.sampled_from(["$t", "v", "lc", "__type__", "n", "f"]), plain_values))
@settings(max_examples=100, deadline=None)
def test_a_dict_of_the_user_is_never_taken_for_a_tag(name: str, value: Any) -> None:
    codec = CODECS[name]

    returned = codec.decode(codec.encode([value], CONTEXT), CONTEXT)

    assert shape(returned) == shape([value])


@pytest.mark.parametrize("tag", ["uuid", "datetime", "map", "object", "int", "nonsense", None, 1])
def test_what_looks_exactly_like_a_tag_returns_as_a_dict(codec: Codec, tag: Any) -> None:
    value = {"$t": tag, "v": {"n": "acme.Message/1", "f": {}}}

    assert codec.decode(codec.encode(value, CONTEXT), CONTEXT) == value


def test_plain_values_pay_nothing_for_tags(codec: Codec) -> None:
    blob = codec.encode({"role": "user", "content": "hi", "raw": b"\x00"}, CONTEXT)

    assert not codec.describe(blob).tagged
    assert codec.describe(codec.encode((1,), CONTEXT)).tagged


def test_the_value_given_is_not_changed(codec: Codec) -> None:
    value = {"a": [(1, 2), {3: 4}]}

    codec.encode(value, CONTEXT)

    assert value == {"a": [(1, 2), {3: 4}]}


class Level(enum.IntEnum):
    LOW = 1


class Text(str):
    __slots__ = ()


Point = collections.namedtuple("Point", "x y")


class Zone(tzinfo):
    pass


@pytest.mark.parametrize("name", SERIALIZERS)
@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (Level.LOW, "convert it with int(…)"),
        (Text("x"), "convert it with str(…)"),
        (Point(1, 2), "convert it with tuple(…)"),
        (collections.OrderedDict(), "convert it with dict(…)"),
        (object(), "types.register(object, 'yourapp.object/1')"),
        (bytearray(b"x"), "convert it with bytes(…)"),
        (1j, "complex is not in the value model"),
        (datetime(2026, 1, 1, tzinfo=Zone()), "use datetime.timezone or a zoneinfo.ZoneInfo"),
    ],
)
def test_an_unknown_type_is_refused_with_its_place_and_advice(name: str, value: Any, advice: str) -> None:
    with pytest.raises(EncodeError) as caught:
        CODECS[name].encode({"content": [1, {"image": value}]}, CONTEXT)

    assert caught.value.reason == "unsupported type"
    assert caught.value.path == "content[1].image"
    assert advice in str(caught.value)


@pytest.mark.parametrize("name", SERIALIZERS)
@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, {1: "\ud800"}, [("\ud800",)]])
def test_half_a_surrogate_pair_is_refused_by_every_serializer(name: str, value: Any) -> None:
    with pytest.raises(EncodeError, match="invalid text"):
        CODECS[name].encode(value, CONTEXT)


@pytest.mark.parametrize(
    "value",
    [{float("nan"): 1}, {float("nan")}, {(1, float("nan"))}, frozenset({float("nan")})],
)
def test_nan_is_a_value_but_neither_key_nor_element(codec: Codec, value: Any) -> None:
    with pytest.raises(EncodeError, match="NaN cannot be a key"):
        codec.encode(value, CONTEXT)
