"""JSON by the standard library; slower than orjson, and has no dependency. Both share one wire id."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from miniagent_store.serializer import Context, Limits


class JsonSerializer:
    """UTF-8 JSON without spaces."""

    name = "json"
    wire_id: int | None = 0x01
    safe = True
    native_bytes = False

    def dumps(self, value: Any, context: Context) -> bytes:
        return write(value)

    def loads(self, data: bytes, context: Context, limits: Limits) -> Any:
        return loads_strictly(data)


def write(value: Any) -> bytes:
    return _encoder.encode(value).encode()


def loads_strictly(data: bytes) -> Any:
    """Read JSON as RFC 8259 has it, with ints of 64 bits; of a key given twice the last one counts.

    The standard library by itself also takes NaN, infinities, numbers beyond a double, halves of
    surrogate pairs and UTF-16; none of these would be read alike by other implementations.
    """
    text = data.decode("utf-8")
    value = _decoder.decode(text)
    if "\\u" in text:
        # An escape can spell half of a pair, which cannot be encoded; this raises UnicodeEncodeError.
        write(value)
    return value


def _int(text: str) -> int:
    # The length first: converting a long text costs the square of it.
    if len(text) <= 20 and -(2**63) <= (value := int(text)) < 2**64:
        return value
    raise ValueError("int out of range")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("float out of range")
    return value


def _refuse(_: str) -> NoReturn:
    raise ValueError("not JSON")


_encoder = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
)
_decoder = json.JSONDecoder(parse_int=_int, parse_float=_float, parse_constant=_refuse)
