"""What is authenticated besides the data: the header and the place of a value, and no two alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from codec_support import CONTEXT, EXAMPLE, PlainRegistry, shape
from hypothesis import example, given
from hypothesis import strategies as st
from keyed_support import CIPHERS, GOLDEN_KEY, KEYED_CHAINS, OTHER_KEY, RING, CountingKeys, keyed

from miniagent_store.errors import (
    ConfigurationError,
    CryptoError,
    DecodeError,
    KeyNotFoundError,
    SerializationError,
    TamperedError,
)
from miniagent_store.keys import Key, Keyring
from miniagent_store.serializer import Context

# Pieces that run into one another, lengths as they stand on the wire, and the mark of what is absent.
_pieces = [
    "",
    "a",
    "b",
    "ab",
    "\x00",
    "\x00\x00\x00\x01",
    "\x00\x00\x00\x01a",
    "\xff" * 4,
    "\ud800",
    "\U00010000",
]
_texts = st.lists(st.sampled_from(_pieces), max_size=3).map("".join)
_blobs = st.lists(
    st.sampled_from([b"", b"a", b"\x00\x00\x00\x00", b"\x00\x00\x00\x01a", b"\xff" * 4]), max_size=3
).map(b"".join)
_long = st.binary(max_size=2000)
_places = st.builds(
    Context,
    _texts,
    _texts,
    _texts,
    _texts,
    st.none() | _texts,
    st.none() | _blobs | st.binary(max_size=2000),
)


def parsed(data: bytes) -> list[bytes | None]:
    """The parts of what was authenticated; since there is one way to read it, no other parts give it."""
    parts: list[bytes | None] = []
    while data:
        size, data = data[:4], data[4:]
        if size == b"\xff\xff\xff\xff":
            parts.append(None)
        else:
            end = int.from_bytes(size, "big")
            assert len(data) >= end
            parts.append(data[:end])
            data = data[end:]
    return parts


@given(place=_places, header=_blobs | _long)
def test_all_parts_can_be_told_from_what_is_authenticated(place: Context, header: bytes) -> None:
    texts = (place.namespace, place.kind, place.session_id, place.field, place.log)
    wanted = [None if text is None else text.encode("utf-8", "surrogatepass") for text in texts]

    assert parsed(place.authenticated(header)) == [b"miniagent-store/v1", header, *wanted, place.entry_id]


@given(one=_places, other=_places, headers=st.tuples(_blobs, _blobs))
@example(Context("", "", "", ""), Context("", "", "", "", ""), (b"", b""))
@example(Context("", "", "", ""), Context("", "", "", "", None, b""), (b"", b""))
@example(Context("a", "b", "", ""), Context("ab", "", "", ""), (b"", b""))
@example(Context("\ud800\udc00", "", "", ""), Context("\U00010000", "", "", ""), (b"", b""))
def test_no_two_places_have_the_same_bytes(
    one: Context, other: Context, headers: tuple[bytes, bytes]
) -> None:
    same = one.authenticated(headers[0]) == other.authenticated(headers[1])

    assert same == ((one, headers[0]) == (other, headers[1]))


ELSEWHERE = [
    {"namespace": "app2"},
    {"namespace": ""},
    {"kind": "kv"},
    {"session_id": "s2"},
    {"session_id": "s1 "},
    {"field": "metadata"},
    {"log": "events"},
    {"log": None},
    {"log": ""},
    {"entry_id": b"\x02" * 16},
    {"entry_id": None},
    {"entry_id": b""},
]


@pytest.mark.parametrize("chain", KEYED_CHAINS)
@pytest.mark.parametrize("change", ELSEWHERE, ids=repr)
def test_a_value_is_refused_anywhere_else(chain: str, change: dict[str, Any]) -> None:
    codec = keyed(chain)
    blob, moved = codec.encode(EXAMPLE, CONTEXT), replace(CONTEXT, **change)

    with pytest.raises(TamperedError, match="modified, moved from another place, or key mismatch"):
        codec.decode(blob, moved)
    assert shape(codec.decode(blob, CONTEXT)) == shape(EXAMPLE)


@pytest.mark.parametrize("cipher", [*CIPHERS, "hmac"])
def test_a_header_that_was_changed_is_refused(cipher: str) -> None:
    codec = keyed(f"json+{cipher}")
    blob = codec.encode({"a": [1]}, CONTEXT)
    other_ids = [layer for layer in (0x20, 0x21, 0x22, 0x23) if layer != blob[3]]

    changed = {
        "tagged": bytes((blob[0], blob[1] ^ 0x10)) + blob[2:],
        "serializer": blob[:2] + b"\x02" + blob[3:],
        "compressed": b"\xc1\x23\x01\x90" + blob[3:],
        "checked": b"\xc1\x23\x01\x1f" + blob[3:],
        **{f"layer {other:#x}": blob[:3] + bytes((other,)) + blob[4:] for other in other_ids},
    }

    for name, data in changed.items():
        with pytest.raises(SerializationError) as caught:
            codec.decode(data, CONTEXT)
        assert isinstance(caught.value, TamperedError) or caught.value.reason == "codec not allowed", name


@pytest.mark.parametrize("chain", KEYED_CHAINS)
def test_another_known_key_is_refused(chain: str) -> None:
    codec = keyed(chain)
    blob = codec.encode([1], CONTEXT)
    assert blob.count(GOLDEN_KEY.id) in (1, 2)

    with pytest.raises(TamperedError) as caught:
        codec.decode(blob.replace(GOLDEN_KEY.id, OTHER_KEY.id), CONTEXT)

    assert caught.value.key_id == OTHER_KEY.id.hex()


def test_a_value_of_the_same_place_has_another_subkey_in_each_layer() -> None:
    """What one layer authenticates says nothing to another that has the same key."""
    hmac, both = keyed("json+hmac"), keyed("json+hmac+aesgcm")

    assert hmac.decode(hmac.encode([1], CONTEXT), CONTEXT) == [1]
    with pytest.raises(TamperedError):
        both.decode(both.encode([1], CONTEXT).replace(b"\x21", b"\x22", 1), CONTEXT)


@pytest.mark.parametrize("chain", KEYED_CHAINS)
def test_a_missing_key_is_named_with_those_there_are(chain: str) -> None:
    blob = keyed(chain, keys=Keyring([OTHER_KEY])).encode([1], CONTEXT)
    third = Key(bytes(range(2, 34)))

    with pytest.raises(KeyNotFoundError) as caught:
        keyed(chain, keys=Keyring([GOLDEN_KEY, third])).decode(blob, CONTEXT)

    assert str(caught.value) == (
        f"value in session 's1' (log 'messages') was encrypted with key {OTHER_KEY.id.hex()}, not in the "
        f"keyring (have {GOLDEN_KEY.id.hex()}, {third.id.hex()}); add the old key as decrypt-only"
    )
    assert isinstance(caught.value, CryptoError)
    assert caught.value.known == (GOLDEN_KEY.id.hex(), third.id.hex())


@pytest.mark.parametrize("chain", KEYED_CHAINS)
def test_no_other_key_is_tried(chain: str) -> None:
    layers = sum(name in {*CIPHERS, "hmac"} for name in chain.split("+"))
    many = Keyring([GOLDEN_KEY, OTHER_KEY, *(Key.generate() for _ in range(5))])
    keys = CountingKeys(many)
    codec = keyed(chain, keys=keys)
    blob = codec.encode([1], CONTEXT)
    assert keys.opened == []

    codec.decode(blob, CONTEXT)
    assert keys.opened == [GOLDEN_KEY.id] * layers

    for damaged in (blob[:-1] + bytes((blob[-1] ^ 1,)), blob.replace(GOLDEN_KEY.id, OTHER_KEY.id)):
        keys.opened.clear()
        with pytest.raises(TamperedError):
            codec.decode(damaged, CONTEXT)
        assert len(keys.opened) == 1


def test_the_same_value_of_the_same_place_is_written_differently_each_time() -> None:
    codec = keyed("msgpack+aesgcm")

    assert len({codec.encode("yes", CONTEXT) for _ in range(1000)}) == 1000


def test_a_layer_without_keys_says_where_to_name_them() -> None:
    with pytest.raises(ConfigurationError, match="'aesgcm' was given no keys; name them with keys="):
        keyed("msgpack+aesgcm", keys=None).encode([1], CONTEXT)


def test_values_of_an_old_key_are_read_and_are_not_current() -> None:
    old, new = Keyring([OTHER_KEY]), Keyring([GOLDEN_KEY, OTHER_KEY])
    blob = keyed("msgpack+aesgcm", keys=old).encode([1], CONTEXT)
    codec = keyed("msgpack+aesgcm", keys=new)

    assert codec.decode(blob, CONTEXT) == [1]
    assert not codec.is_current(blob, CONTEXT)
    assert codec.is_current(codec.encode([1], CONTEXT), CONTEXT)
    assert codec.describe(blob).key_id == OTHER_KEY.id.hex()


def test_a_chain_that_was_not_listed_is_read_with_the_same_keys() -> None:
    blob = keyed("json+hmac+chacha").encode(EXAMPLE, CONTEXT)

    assert shape(keyed("msgpack+aesgcm").decode(blob, CONTEXT)) == shape(EXAMPLE)
    with pytest.raises(DecodeError, match="install the plugin"):
        keyed("msgpack+aesgcm").decode(b"\xc1\x22\x01\x99" + blob[4:], CONTEXT)


def test_surrogates_and_long_ids_in_a_place_are_no_failure() -> None:
    place = Context("app", "session", "\ud800" * 2000, "entry", "\udfff", b"x" * 5000)
    registry = PlainRegistry()

    for chain in ("msgpack+hmac", "json+gcmsiv"):
        codec = keyed(chain, keys=RING, registry=registry)
        assert codec.decode(codec.encode([1], place), place) == [1]
