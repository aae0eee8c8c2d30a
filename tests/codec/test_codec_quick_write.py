"""The short way of writing gives the same bytes as the long one, or the same error."""

from __future__ import annotations

import enum
import random
from collections import OrderedDict, namedtuple
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgpack
import pytest
from codec_support import PlainRegistry, make_codec, nested, values
from hypothesis import given
from hypothesis import strategies as st

from miniagent_serializers import aead_layers
from miniagent_serializers.orjson_serializer import OrjsonSerializer
from miniagent_serializers.zstd_layer import ZstdLayer, zstd
from miniagent_store.codec.codec import Codec
from miniagent_store.errors import EncodeError
from miniagent_store.keys.key import Key
from miniagent_store.keys.keyring import Keyring
from miniagent_store.serializer import Context, Limits, NamedSerializer

PLACE = Context("ns", "session", "s", "entry", "messages", b"0123456789ab")
KEYS = Keyring([Key(bytes(range(32)))])
CHAINS = (
    "msgpack",
    "orjson",
    "msgpack+zstd",
    "msgpack+aesgcm",
    "msgpack+hmac",
    "orjson+zstd+chacha",
    "msgpack+crc32+aesgcm",
    "msgpack+zlib",
)


class OneFrame(ZstdLayer):
    """Compresses each value with what was made for it."""

    def encode(self, data: bytes, context: Context, header: bytes) -> tuple[bytes, bytes]:
        return b"", zstd.compress(data)


def without_short_way() -> PlainRegistry:
    """The same formats by serializers that check nothing while they pack."""
    packed = NamedSerializer("msgpack", msgpack.packb, msgpack.unpackb, native_bytes=True)
    json = OrjsonSerializer()
    written = NamedSerializer("orjson", lambda value: json.dumps(value, PLACE), lambda _: None)
    packed.wire_id, written.wire_id = 0x02, 0x01
    return PlainRegistry(serializers=[packed, written], layers=[OneFrame()])


def both(chain: str, limits: Limits | None = None) -> tuple[Codec, Codec]:
    return (
        make_codec(chain, limits=limits, keys=KEYS),
        make_codec(chain, limits=limits, keys=KEYS, registry=without_short_way()),
    )


def outcome(codec: Codec, value: Any) -> Any:
    """The bytes, or all that an error says."""
    try:
        return codec.encode(value, PLACE)
    except EncodeError as error:
        return str(error), error.reason, error.detail, error.codec, error.path, error.context


@pytest.fixture
def same_nonces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aead_layers.os, "urandom", bytes)


class Colour(enum.IntEnum):
    RED = 1


class Name(str):
    __slots__ = ()


class Table(dict):  # type: ignore[type-arg]
    pass


Pair = namedtuple("Pair", "a b")
ROUND: list[Any] = []
ROUND.append(ROUND)
ODD = (
    *(Colour.RED, Name("x"), Table(a=1), OrderedDict(a=1), Pair(1, 2), object(), ROUND),
    *(bytearray(b"x"), memoryview(b"x"), b"x", "\ud800", "\udfff tail", {"\ud800": 1}, {Name("x"): 1}),
    *({1: 2}, {b"x": 1}, {True: 1}, {None: 1}, {(1,): 1}, {"$t": "uuid", "v": "x"}, {"$t": 1}),
    *(float("nan"), float("inf"), float("-inf"), -0.0, 1e308, 5e-324),
    *(2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**5000, 10**4299),
    *((1,), {1}, frozenset({1}), nested(97), nested(98), nested(99), nested(100), nested(101)),
    *("ÿ" * 200, "€" * 300, "a" * 255, "a" * 256, "a" * 70_000, list(range(300)), "$t", {"v": "$t"}),
)
odd_values = st.recursive(
    st.one_of(st.integers(0, len(ODD) - 1).map(ODD.__getitem__), values),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=6,
)


def test_what_is_compared_differs() -> None:
    quick, long = both("msgpack")

    assert quick._quick_writer is not None
    assert long._quick_writer is None


@pytest.mark.usefixtures("same_nonces")
@pytest.mark.parametrize("chain", CHAINS)
def test_each_odd_value_is_written_or_refused_alike(chain: str) -> None:
    quick, long = both(chain)

    for value in (*ODD, *({"k": odd} for odd in ODD), *([odd] for odd in ODD)):
        assert outcome(quick, value) == outcome(long, value)


PAIRS = [both(chain) for chain in ("msgpack", "orjson", "msgpack+zstd")]


@given(odd_values)
def test_any_value_is_written_or_refused_alike(value: Any) -> None:
    for quick, long in PAIRS:
        assert outcome(quick, value) == outcome(long, value)


@pytest.mark.usefixtures("same_nonces")
@pytest.mark.parametrize("chain", CHAINS)
def test_limits_are_kept_alike(chain: str) -> None:
    for limits in (Limits(encoded=420), Limits(decoded=420), Limits(encoded=200, decoded=420)):
        quick, long = both(chain, limits)
        for size in (*range(100, 440), 3_000):
            value = {"content": random.Random(size).randbytes(size).hex()[:size]}
            assert outcome(quick, value) == outcome(long, value)


def test_depth_is_kept_alike() -> None:
    for depth in range(4):
        quick, long = both("msgpack", Limits(depth=depth))
        for deep in range(6):
            for value in (nested(deep), {"k": nested(deep)}, [{"k": {"k": deep}}]):
                assert outcome(quick, value) == outcome(long, value)


@pytest.mark.parametrize("chain", CHAINS)
def test_values_of_one_place_are_bound_to_their_entries(chain: str) -> None:
    codec = make_codec(chain, keys=KEYS)
    given_values = [{"n": n, "content": "x" * 100 * n} for n in range(6)]
    given_values.insert(3, {"tagged": (1, 2)})
    ids = [bytes([n]) * 12 for n in range(len(given_values))]
    place = Context("ns", "session", "s", "entry", "messages")

    write = codec.value_writer(place, len(given_values))
    written = [write(value, entry_id) for value, entry_id in zip(given_values, ids, strict=True)]

    for value, entry_id, data in zip(given_values, ids, written, strict=True):
        here = Context("ns", "session", "s", "entry", "messages", entry_id)
        assert codec.decode(data, here) == value
    if codec.bound:
        assert len({data[:40] for data in written}) == len(written), "a nonce was used twice"


@pytest.mark.parametrize("cipher", ["aesgcm", "chacha", "gcmsiv"])
def test_no_nonce_is_used_twice_however_many_values_are_written(cipher: str) -> None:
    codec = make_codec(f"msgpack+{cipher}", keys=KEYS)
    write = codec.value_writer(PLACE, 2)

    written = [write({"n": 1}, PLACE.entry_id) for _ in range(10)]

    assert len(set(written)) == 10
    assert all(codec.decode(data, PLACE) == {"n": 1} for data in written)


@pytest.mark.parametrize("chain", ["msgpack", "msgpack+zstd", "msgpack+zstd+aesgcm"])
def test_threads_share_a_codec(chain: str) -> None:
    codec = make_codec(chain, keys=KEYS)

    def work(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(200):
            value = {"seed": seed, "content": choose.choice("abc") * choose.randrange(2_000)}
            assert codec.decode(codec.encode(value, PLACE), PLACE) == value

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))


def test_what_large_values_took_is_given_back() -> None:
    codec = make_codec("msgpack+zstd")

    codec.encode({"content": "x" * 1_000_000}, PLACE)

    assert codec.chain.serializer._packers == []  # type: ignore[attr-defined]
    assert codec.chain.layers[0]._compressors == []  # type: ignore[attr-defined]
