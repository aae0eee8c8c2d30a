"""Damage, downgrades and nonces of chains with keys."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from codec_support import CONTEXT, EXAMPLE, PlainRegistry, make_codec, values
from codec_support import shape as shape_of
from hypothesis import given
from keyed_support import CIPHERS, GOLDEN_KEY, KEYED_CHAINS, CountingSerializer, keyed

from miniagent_store.codec import Codec
from miniagent_store.errors import DecodeError, SerializationError

# Where the nonce of a chain of one encrypting layer stands: after 4 bytes of header and 4 of key id.
NONCE = slice(8, 20)


@pytest.mark.parametrize("chain", KEYED_CHAINS)
def test_every_flipped_bit_is_refused(chain: str) -> None:
    codec = keyed(chain)
    blob = codec.encode(EXAMPLE, CONTEXT)

    for bit in range(len(blob) * 8):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SerializationError):
            codec.decode(bytes(damaged), CONTEXT)


@pytest.mark.parametrize("chain", KEYED_CHAINS)
def test_every_cut_and_every_extra_byte_is_refused(chain: str) -> None:
    codec = keyed(chain)
    blob = codec.encode(EXAMPLE, CONTEXT)

    for size in range(len(blob)):
        with pytest.raises(SerializationError):
            codec.decode(blob[:size], CONTEXT)
        with pytest.raises(SerializationError):
            codec.decode(blob[size + 1 :], CONTEXT)
    for extra in (b"\x00", b"\xff", blob):
        with pytest.raises(SerializationError):
            codec.decode(blob + extra, CONTEXT)


@pytest.mark.parametrize("chain", KEYED_CHAINS)
@given(value=values)
def test_values_come_back_as_they_were(chain: str, value: Any) -> None:
    codec = keyed(chain)

    assert shape_of(codec.decode(codec.encode(value, CONTEXT), CONTEXT)) == shape_of(value)


@pytest.mark.parametrize(
    ("layer", "overhead"), [("crc32", 8), ("aesgcm", 36), ("gcmsiv", 36), ("chacha", 36), ("hmac", 40)]
)
def test_an_envelope_is_as_many_bytes_longer_as_the_design_says(layer: str, overhead: int) -> None:
    text = "x" * 400

    assert len(keyed(f"msgpack+{layer}").encode(text, CONTEXT)) == len(text) + 3 + overhead


# -- downgrades ----------------------------------------------------------------------------------------


def downgrades(registry: PlainRegistry) -> Iterator[tuple[str, bytes]]:
    """What someone who can write to the backend, or even has the keys for hmac, may put there."""
    for chain in ("counted", "counted+crc32", "counted+toyzip", "counted+toyzip+crc32", "counted+hmac"):
        yield chain, keyed(chain, registry=registry).encode(1, CONTEXT)
    yield "nothing", b"\xc1\x21\x80[1]"
    yield "nothing, tagged", b"\xc1\x31\x80[1]"
    yield "compression alone", b"\xc1\x22\x80\x90[1]"
    yield "nothing, json", b"\xc1\x21\x01[1]"
    yield "hmac cut out", b"\xc1\x22\x80\x20" + GOLDEN_KEY.id + b"[1]"
    yield "no envelope", b"[1]"
    yield "no bytes", b""


@pytest.mark.parametrize("own", [*CIPHERS, "hmac+aesgcm", "crc32+chacha", "toyzip+gcmsiv"])
def test_an_encrypting_codec_refuses_less_before_any_parser_runs(own: str) -> None:
    counted = CountingSerializer()
    registry = PlainRegistry([counted])
    codec = keyed(f"counted+{own}", registry=registry)

    for name, blob in downgrades(registry):
        with pytest.raises(DecodeError) as caught:
            codec.decode(blob, CONTEXT)
        assert caught.value.reason in ("codec not allowed", "not an envelope", "truncated"), name
    assert counted.read == 0

    codec.decode(codec.encode(1, CONTEXT), CONTEXT)
    assert counted.read == 1


def test_an_authenticating_codec_refuses_what_is_not_authenticated() -> None:
    counted = CountingSerializer()
    registry = PlainRegistry([counted])
    codec = keyed("counted+hmac", registry=registry)

    for name, blob in downgrades(registry):
        if name == "counted+hmac":
            continue
        with pytest.raises(SerializationError):
            codec.decode(blob, CONTEXT)
    assert counted.read == 0


@pytest.mark.parametrize("listed", ["counted", "counted+hmac"])
def test_what_accept_lists_is_read_and_nothing_else(listed: str) -> None:
    counted = CountingSerializer()
    registry = PlainRegistry([counted])
    codec = keyed("msgpack+aesgcm", accept=[listed], registry=registry)
    other = {"counted": "counted+hmac", "counted+hmac": "counted"}[listed]

    assert codec.decode(keyed(listed, registry=registry).encode(1, CONTEXT), CONTEXT) == ["x" * 300]
    with pytest.raises(DecodeError, match=r"add accept=counted\+"):
        codec.decode(keyed(other, registry=registry).encode(1, CONTEXT), CONTEXT)
    assert counted.read == 1


def test_a_codec_without_keys_reads_no_encrypted_value() -> None:
    blob = keyed("json+aesgcm").encode([1], CONTEXT)

    with pytest.raises(DecodeError, match="the value is encrypted, and this store has no encryption"):
        make_codec("json").decode(blob, CONTEXT)


# -- nonces --------------------------------------------------------------------------------------------


def nonces(codec: Codec, count: int) -> list[bytes]:
    return [codec.encode(None, CONTEXT)[NONCE] for _ in range(count)]


@pytest.mark.parametrize("cipher", CIPHERS)
def test_no_nonce_comes_twice(cipher: str) -> None:
    assert len(set(nonces(keyed(f"msgpack+{cipher}"), 33_334))) == 33_334


@pytest.mark.slow
def test_no_nonce_of_a_million_comes_twice() -> None:
    assert len(set(nonces(keyed("msgpack+aesgcm"), 1_000_000))) == 1_000_000


@pytest.mark.parametrize("cipher", CIPHERS)
def test_no_nonce_comes_twice_after_a_fork(cipher: str) -> None:
    codec, count = keyed(f"msgpack+{cipher}"), 2000
    seen = nonces(codec, count)

    pipes = [forked(codec, count) for _ in range(2)]
    seen += nonces(codec, count)
    for child, pipe in pipes:
        with os.fdopen(pipe, "rb") as file:
            data = file.read()
        assert os.waitpid(child, 0) == (child, 0)
        assert len(data) == count * 12
        seen += [data[at : at + 12] for at in range(0, len(data), 12)]

    assert len(set(seen)) == 4 * count


def forked(codec: Codec, count: int) -> tuple[int, int]:
    """A child that writes nonces of the codec it inherited: its id, and where to read them."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that are elsewhere
        child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "wb") as file:
                file.write(b"".join(nonces(codec, count)))
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    return child, reading
