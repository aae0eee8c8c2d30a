"""The first bytes of every stored value: which version, which codecs, and whether tags are inside.

    0   0xC1        never valid in UTF-8, reserved in msgpack, no pickle opcode
    1   vvvT nnnn   v = 1, T = the payload has type tags, n = number of codec ids
    2   n codec ids, innermost first; 0xFF: a named codec, one byte of length and ASCII follow
        parameters of the layers, outermost first
        body

Ids are never used for anything else. Those under 0x80 belong to this library, 0x80-0xFE are private.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from miniagent_store.errors import ConfigurationError, DecodeError

MAGIC = 0xC1
VERSION = 1
NAMED = 0xFF
# From here to NAMED they are the plugins' own.
PRIVATE_IDS = 0x80

CodecId = int | str
"""The wire id of a codec, or the name of a named one."""

_TAGGED = 0x10
_COUNT = 0x0F
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")

# id → name, and the extra that brings it if it is not always there.
RESERVED_IDS: dict[int, tuple[str, str | None]] = {
    0x01: ("json", None),
    0x02: ("msgpack", None),
    0x03: ("raw", None),
    0x0F: ("pickle", None),
    0x10: ("zlib", None),
    0x11: ("zstd", "zstd"),
    0x1F: ("crc32", None),
    0x20: ("hmac", None),
    0x21: ("aesgcm", "crypto"),
    0x22: ("gcmsiv", "crypto"),
    0x23: ("chacha", "crypto"),
}


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes say.

    Attributes:
        tagged: whether the payload has type tags.
        codecs: serializer first, outermost layer last.
        size: how many bytes these are, without parameters.
    """

    tagged: bool
    codecs: tuple[CodecId, ...]
    size: int


def build_header(codecs: tuple[CodecId, ...], *, tagged: bool) -> bytes:
    """The first bytes of an envelope.

    Raises:
        ConfigurationError: an id or name cannot stand on the wire, or there are too many.
    """
    if not 1 <= len(codecs) <= _COUNT:
        raise ConfigurationError(f"an envelope has 1 to {_COUNT} codecs, not {len(codecs)}")
    header = bytearray((MAGIC, VERSION << 5 | (_TAGGED if tagged else 0) | len(codecs)))
    for codec in codecs:
        if isinstance(codec, str):
            header += bytes((NAMED, len(codec))) + codec.encode("ascii")
        else:
            header.append(codec)
    return bytes(header)


def parse_header(data: bytes) -> Header:
    """Read the first bytes of an envelope; its parameters and body are not looked at.

    Raises:
        DecodeError: not an envelope, unsupported version, truncated, corrupt.
    """
    if not data:
        raise DecodeError("truncated", detail="there are no bytes at all")
    if data[0] != MAGIC:
        raise DecodeError(
            "not an envelope",
            detail="the bytes do not begin as this library's do; "
            "if another program wrote them, name a reader for them with legacy=",
        )
    if len(data) < 2:
        raise DecodeError("truncated", detail="the bytes end within their header")
    version, count = data[1] >> 5, data[1] & _COUNT
    if version != VERSION:
        raise DecodeError(
            "unsupported version",
            detail=f"the layout is version {version}, this library reads version {VERSION}; "
            "upgrade miniagent-store",
        )
    codecs, size = _parse_codecs(data, count)
    return Header(bool(data[1] & _TAGGED), codecs, size)


def _parse_codecs(data: bytes, count: int) -> tuple[tuple[CodecId, ...], int]:
    codecs: list[CodecId] = []
    at = 2
    for _ in range(count):
        codec, at = _parse_codec(data, at)
        codecs.append(codec)
    if not codecs or 0 in codecs:
        raise DecodeError("corrupt", detail="the header lists no codec, or the invalid id 0")
    return tuple(codecs), at


def _parse_codec(data: bytes, at: int) -> tuple[CodecId, int]:
    """The codec at `at`, and where the next one begins."""
    if at < len(data) and data[at] != NAMED:
        return data[at], at + 1
    end = at + 2 + data[at + 1] if at + 1 < len(data) else len(data) + 1
    if end > len(data):
        raise DecodeError("truncated", detail="the bytes end within their header")
    name = data[at + 2 : end].decode("latin-1")
    if not _NAME.fullmatch(name):
        raise DecodeError("corrupt", detail="the header names a codec that cannot exist")
    return name, end


def codec_id(name: str, wire_id: int | None) -> CodecId:
    """How a codec is written in headers.

    Raises:
        ConfigurationError: its id is not one that a codec can have, or its name cannot be written.
    """
    if wire_id is None:
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"a codec cannot be named {name[:80]!r}; use at most 32 lower-case letters, digits and '-'"
            )
        return name
    if wire_id not in RESERVED_IDS and not (isinstance(wire_id, int) and PRIVATE_IDS <= wire_id < NAMED):
        shown = f"{wire_id:#04x}" if isinstance(wire_id, int) else repr(wire_id)
        raise ConfigurationError(
            f"codec {name!r} cannot have the wire id {shown}; "
            "use 0x80 to 0xFE, or None to be written by name"
        )
    return wire_id


def unknown_codec(codec: CodecId) -> DecodeError:
    """An error for a codec in a header that nothing here can read."""
    if isinstance(codec, str):
        return DecodeError(
            "unknown codec",
            codec=codec,
            detail=f"install the plugin that brings the codec named {codec!r}",
        )
    name, extra = RESERVED_IDS.get(codec, (None, None))
    if name is None:
        advice = "install the plugin that brings it, or upgrade miniagent-store"
    elif extra is None:
        advice = f"it is {name}, which no installed plugin provides; install or upgrade miniagent-store"
    else:
        advice = f"it is {name}; run: pip install 'miniagent-store[{extra}]'"
    return DecodeError("unknown codec", codec=name, detail=f"the codec id is {codec:#04x}: {advice}")
