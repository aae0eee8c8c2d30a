"""Compressed bodies that a checksum lets through: whoever can write can also write a checksum."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import pytest
from codec_support import COMPRESSORS, CONTEXT, PlainRegistry, make_codec

from miniagent_serializers.zstd_layer import zstd
from miniagent_store.errors import DecodeError
from miniagent_store.serializer import Limits

HEADERS = {"zlib": b"\xc1\x23\x02\x10\x1f", "zstd": b"\xc1\x23\x02\x11\x1f"}
COMPRESS: dict[str, Any] = {"zlib": zlib.compress, "zstd": zstd.compress}
PAYLOAD = b"\xd9\xc8" + b"x" * 200  # a str of 200 characters


def sealed(name: str, body: bytes) -> bytes:
    header = HEADERS[name]
    return header + body + zlib.crc32(body, zlib.crc32(header)).to_bytes(4, "big")


def refusal(name: str, body: bytes, limits: Limits | None = None) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        make_codec("msgpack", limits=limits).decode(sealed(name, body), CONTEXT)
    return caught.value


@pytest.mark.parametrize("name", COMPRESSORS)
def test_every_cut_within_a_checksum_is_noticed(name: str) -> None:
    body = COMPRESS[name](PAYLOAD)
    assert make_codec("msgpack").decode(sealed(name, body), CONTEXT) == "x" * 200

    for size in range(len(body)):
        assert refusal(name, body[:size]).reason == "truncated"


@pytest.mark.parametrize("name", COMPRESSORS)
@pytest.mark.parametrize("more", [b"\x00", b"again"])
def test_bytes_after_the_compressed_ones_are_noticed(name: str, more: bytes) -> None:
    body = COMPRESS[name](PAYLOAD)
    for tail in (more, body, COMPRESS[name](b"")):
        assert (refusal(name, body + tail).reason, refusal(name, body + tail).codec) == ("corrupt", name)


def test_a_frame_that_zstd_would_skip_is_no_value() -> None:
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"

    assert refusal("zstd", skippable).reason == "corrupt"
    assert refusal("zstd", skippable + zstd.compress(PAYLOAD)).reason == "corrupt"


@pytest.mark.parametrize("name", COMPRESSORS)
def test_garbage_is_corrupt(name: str) -> None:
    for seed in range(50):
        assert refusal(name, hashlib.shake_128(bytes([seed])).digest(64)).reason == "corrupt"


@pytest.mark.parametrize("name", COMPRESSORS)
def test_the_limit_holds_to_the_byte(name: str) -> None:
    body = COMPRESS[name](PAYLOAD)
    fits, tight = Limits(decoded=len(PAYLOAD)), Limits(decoded=len(PAYLOAD) - 1)

    assert make_codec("msgpack", limits=fits).decode(sealed(name, body), CONTEXT) == "x" * 200
    error = refusal(name, body, tight)
    assert (error.reason, error.codec) == ("too large", name)
    assert "raise Limits.decoded" in str(error)


def test_a_window_beyond_the_limit_is_refused() -> None:
    def frame(window_log: int) -> bytes:
        # Without a declared size, so that the window is not cut down to it.
        options = {zstd.CompressionParameter.window_log: window_log}
        compressor = zstd.ZstdCompressor(options=options)
        return compressor.compress(PAYLOAD) + compressor.flush()

    assert make_codec("msgpack").decode(sealed("zstd", frame(23)), CONTEXT) == "x" * 200
    assert refusal("zstd", frame(24)).reason == "corrupt"


@pytest.mark.parametrize("name", COMPRESSORS)
def test_compression_is_left_out_where_it_does_not_help(name: str) -> None:
    codec = make_codec(f"msgpack+{name}")
    # 254 characters are 256 bytes of MessagePack.
    below, from_here, dense = "x" * 253, "x" * 254, hashlib.shake_128(b"").digest(5000)

    chains = [str(codec.describe(codec.encode(value, CONTEXT))) for value in (below, from_here, dense)]

    assert chains == ["msgpack+crc32", f"msgpack+{name}+crc32", "msgpack+crc32"]
    for value in (below, from_here, dense):
        assert codec.decode(codec.encode(value, CONTEXT), CONTEXT) == value


@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_value_whose_codec_is_not_installed_is_left_untouched(name: str) -> None:
    blob = make_codec(f"msgpack+{name}").encode("x" * 400, CONTEXT)
    before = bytes(blob)
    poorer = make_codec("msgpack", registry=PlainRegistry(without=[name]))

    with pytest.raises(DecodeError, match="install") as caught:
        poorer.decode(blob, CONTEXT)

    assert (caught.value.reason, caught.value.codec) == ("unknown codec", name)
    assert blob == before
    assert make_codec("msgpack").decode(blob, CONTEXT) == "x" * 400
