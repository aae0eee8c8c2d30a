"""A few bytes that would become gigabytes, each read by a process that may only have 300 MB."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from codec_support import CONTEXT, make_codec

from miniagent_serializers.zstd_layer import zstd
from miniagent_store.errors import DecodeError

MIB = 1024 * 1024
ZEROS = bytes(MIB)
CODECS = {"json": 0x01, "msgpack": 0x02, "zlib": 0x10, "zstd": 0x11, "crc32": 0x1F}

READ = """\
import resource, sys
from codec_support import CONTEXT, make_codec
from miniagent_store.errors import SerializationError
reader = make_codec(sys.argv[1])
reader.decode(make_codec(f"{sys.argv[1]}+zstd").encode("x" * 400, CONTEXT), CONTEXT)
resource.setrlimit(resource.RLIMIT_AS, (300_000_000, 300_000_000))
try:
    bytearray(300_000_000)
    sys.exit("the limit is not in force")
except MemoryError:
    pass
try:
    reader.decode(sys.stdin.buffer.read(), CONTEXT)
except SerializationError as error:
    print(error.reason)
else:
    print("it was read")
"""


def outcome(reader: str, blob: bytes) -> str:
    """How a process of its own fares with `blob`: the reason it refuses it for."""
    done = subprocess.run(
        [sys.executable, "-c", READ, reader],
        input=blob,
        capture_output=True,
        cwd=Path(__file__).parent,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr.decode()[-2000:])
    return done.stdout.decode().strip()


def sealed(codecs: str, body: bytes) -> bytes:
    ids = bytes(CODECS[name] for name in codecs.split("+"))
    header = bytes((0xC1, 0x20 | len(ids))) + ids
    return header + body + zlib.crc32(body, zlib.crc32(header)).to_bytes(4, "big")


def zlib_bomb(mebibytes: int, head: bytes = b"", fill: bytes = ZEROS) -> bytes:
    compressor = zlib.compressobj(9)
    parts = [compressor.compress(head), *(compressor.compress(fill) for _ in range(mebibytes))]
    return b"".join([*parts, compressor.flush()])


def zstd_bomb(
    mebibytes: int, head: bytes = b"", fill: bytes = ZEROS, tail: bytes = b"", *, declared: bool = False
) -> bytes:
    compressor = zstd.ZstdCompressor()
    if declared:
        compressor.set_pledged_input_size(len(head) + mebibytes * MIB + len(tail))
    parts = [compressor.compress(head), *(compressor.compress(fill) for _ in range(mebibytes))]
    return b"".join([*parts, compressor.compress(tail), compressor.flush()])


def declared_size(frame: bytes) -> int | None:
    return zstd.get_frame_info(frame).decompressed_size


def test_a_gigabyte_by_zlib_is_stopped() -> None:
    blob = sealed("msgpack+zlib+crc32", zlib_bomb(1024))

    assert len(blob) < 2 * MIB
    assert outcome("msgpack", blob) == "too large"


@pytest.mark.parametrize("declared", [True, False])
def test_gigabytes_by_zstd_are_stopped(declared: bool) -> None:
    bomb = zstd_bomb(4096, declared=declared)
    blob = sealed("msgpack+zstd+crc32", bomb)

    assert declared_size(bomb) == (4096 * MIB if declared else None)
    assert len(blob) < MIB
    assert outcome("msgpack", blob) == "too large"


def test_a_frame_that_lies_about_its_size_is_refused() -> None:
    honest = zstd_bomb(1, declared=True)
    at = honest.index((MIB).to_bytes(4, "little"))
    liar = honest[:at] + (2**32 - 1).to_bytes(4, "little") + honest[at + 4 :]

    assert declared_size(liar) == 2**32 - 1
    assert outcome("msgpack", sealed("msgpack+zstd+crc32", liar)) == "corrupt"


@pytest.mark.parametrize("inner", ["zlib", "zstd"])
def test_a_bomb_in_a_bomb_is_no_chain(inner: str) -> None:
    bomb = zstd.compress(zlib_bomb(64) if inner == "zlib" else zstd_bomb(4096))

    with pytest.raises(DecodeError, match="no store writes such a chain") as caught:
        make_codec("msgpack").decode(sealed(f"msgpack+{inner}+zstd+crc32", bomb), CONTEXT)

    assert caught.value.reason == "codec not allowed"


@pytest.mark.parametrize("reader", ["json", "orjson", "msgpack"])
@pytest.mark.parametrize("compressor", ["zlib", "zstd"])
def test_depth_without_end_is_stopped(reader: str, compressor: str) -> None:
    level = b"\x91" if reader == "msgpack" else b"["
    bomb = zlib_bomb if compressor == "zlib" else zstd_bomb
    serializer = "msgpack" if reader == "msgpack" else "json"

    # Just below the limit of decoded bytes, so that it is for the parser to refuse it.
    blob = sealed(f"{serializer}+{compressor}+crc32", bomb(60, fill=level * MIB))

    assert outcome(reader, blob) in {"too deep", "corrupt"}


@pytest.mark.parametrize("reader", ["json", "orjson", "msgpack"])
def test_many_small_values_in_few_bytes_are_stopped(reader: str) -> None:
    if reader == "msgpack":
        count = 60 * MIB
        blob = sealed("msgpack+zstd+crc32", zstd_bomb(60, b"\xdd" + count.to_bytes(4), b"\x90" * MIB))
    else:
        blob = sealed("json+zstd+crc32", zstd_bomb(60, b"[[]", b",[]" * (MIB // 3) + b" ", b"]"))

    # orjson has an error of its own for memory that it does not get.
    assert outcome(reader, blob) == ("corrupt" if reader == "orjson" else "too large")


@pytest.mark.parametrize("claim", [b"\xdd", b"\xdf", b"\xc6", b"\xdb"])
def test_msgpack_takes_no_memory_for_what_is_only_claimed(claim: bytes) -> None:
    assert outcome("msgpack", sealed("msgpack+crc32", claim + b"\xff\xff\xff\xff")) == "corrupt"
